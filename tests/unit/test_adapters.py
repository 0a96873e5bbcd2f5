"""The adapters that Airflow asks for: the same answers, built once."""

import pytest
from pydantic import TypeAdapter, ValidationError

from airflow_celery_kit.worker import adapters


@pytest.fixture
def modules(monkeypatch):
    """The two modules of Airflow; what a test changes in them is put back."""
    from airflow.sdk.execution_time import comms, task_runner

    for module in (comms, task_runner):
        monkeypatch.setattr(module, "TypeAdapter", module.TypeAdapter)
    return comms, task_runner


def test_the_same_type_gets_the_same_adapter_and_another_one_another():
    made = adapters.Adapters()
    assert made(int) is made(int)
    assert made(int) is not made(str)
    assert made(int).validate_python("3") == 3
    with pytest.raises(ValidationError):
        made(int).validate_python("three")


def test_types_that_come_and_go_never_get_one_another_s():
    made = adapters.Adapters()
    for number in range(200):
        assert made(tuple[int, ...] if number % 2 else tuple[str, ...]).validate_python(("1",)) == (
            (1,) if number % 2 else ("1",)
        )


def test_whatever_else_is_asked_is_pydantic_s_own():
    made = adapters.Adapters()
    assert made(int, config={"strict": True}) is not made(int)
    with pytest.raises(ValidationError):
        made(int, config={"strict": True}).validate_python("3")
    assert made[int] == TypeAdapter[int]
    assert made.validate_python is TypeAdapter.validate_python


def test_airflow_s_messages_are_read_as_before_and_nothing_is_built_anew(modules):
    comms, task_runner = modules
    before = comms.CommsDecoder[comms.ToTask, comms.ToSupervisor](socket=None, log=None)
    adapters.install()
    first, second = (comms.CommsDecoder[comms.ToTask, comms.ToSupervisor](socket=None, log=None) for _ in range(2))
    assert first.body_decoder is second.body_decoder is not before.body_decoder
    message = {"type": "OKResponse", "ok": True}
    assert first.body_decoder.validate_python(message) == before.body_decoder.validate_python(message)
    assert task_runner.TypeAdapter(comms.ToTask) is first.body_decoder


def test_another_airflow_is_left_as_it_is(modules, monkeypatch):
    monkeypatch.setitem(adapters.WRITTEN_AGAINST[0], "CommsDecoder", "000000000000")
    adapters.install()
    assert [module.TypeAdapter for module in modules] == [TypeAdapter, TypeAdapter]
