"""The gate before the broker: one look at an outage, then everything waits without costing time or tries."""

import pytest

from airflow_celery_kit.probes import broker
from airflow_celery_kit.scheduler import router
from airflow_celery_kit.scheduler.gate import CLOSED_SECONDS, OPEN_SECONDS, Gate


class Door:
    """A broker that is there or not, a clock that stands still, and a count of the knocks."""

    def __init__(self) -> None:
        self.problem: Exception | None = None
        self.now = 100.0
        self.knocks = 0

    def knock(self) -> None:
        self.knocks += 1
        if self.problem:
            raise self.problem


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def gate(door) -> Gate:
    return Gate(door.knock, lambda: door.now)


def test_a_batch_to_a_broker_that_is_there_asks_once(gate, door):
    assert [gate.closed() for _ in range(32)] == [""] * 32
    assert door.knocks == 1
    door.now += OPEN_SECONDS
    assert gate.closed() == "" and door.knocks == 2


@pytest.mark.parametrize(
    "problem", [ConnectionRefusedError("refused"), TimeoutError("timed out"), ConnectionError("OOM")]
)
def test_a_batch_to_a_broker_that_is_away_or_full_asks_once_and_holds_everything(gate, door, problem):
    door.problem = problem
    assert [gate.closed() for _ in range(32)] == [str(problem)] * 32
    assert door.knocks == 1


def test_it_opens_when_the_broker_is_back(gate, door):
    door.problem = ConnectionRefusedError("refused")
    assert gate.closed()
    door.problem = None
    assert gate.closed(), "not asked again yet"
    door.now += CLOSED_SECONDS
    assert gate.closed() == ""


def test_each_change_is_logged_once(gate, door, caplog):
    door.problem = ConnectionError("is full")
    for _ in range(5):
        gate.closed()
        door.now += CLOSED_SECONDS
    door.problem = None
    for _ in range(5):
        gate.closed()
        door.now += CLOSED_SECONDS
    assert [record.getMessage() for record in caplog.records] == [
        "broker is full: nothing is published, tasks wait in the scheduler",
        "the broker takes messages again: what waited is published first",
    ]


@pytest.mark.parametrize("unknown", [KeyError("AIRFLOW__CELERY__BROKER_URL"), ValueError("no port")])
def test_a_broker_it_does_not_know_is_not_held_against_anyone(gate, door, unknown):
    door.problem = unknown
    assert gate.closed() == ""


def test_the_router_refuses_with_the_one_exception_that_the_executor_retries(monkeypatch):
    from airflow.providers.celery.executors import celery_executor

    monkeypatch.setenv("AIRFLOW__CELERY__BROKER_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("KIT_BROKER_PASSWORD_FILE", __file__)
    monkeypatch.setattr(router, "GATE", Gate(broker.write_from_environment))
    with pytest.raises(celery_executor.AirflowTaskTimeout, match="refused"):
        router.route("execute_workload", ("{}",), {}, {})


def test_while_it_stays_closed_the_reason_is_said_again_now_and_then(gate, door, caplog):
    door.problem = OSError("is full")
    for _ in range(60):
        gate.closed()
        door.now += 0.5
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3 and set(said) == {"broker is full: nothing is published, tasks wait in the scheduler"}
