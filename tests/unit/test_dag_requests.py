"""How often the Dag processor asks the database for what somebody wants of it."""

import pytest

from airflow_celery_kit.dag_processor import requests
from airflow_celery_kit.dag_processor.requests import Seldom


def question(answers: list, moments: list[float], seconds: float = 1.0) -> tuple[Seldom, list]:
    """Return a question with its answers, on a clock that says these moments, and the list of those who asked."""
    asked, given, clock = [], iter(answers), iter(moments)

    def ask(manager):
        asked.append(manager)
        return next(given)

    return Seldom(ask, seconds, lambda: next(clock)), asked


def test_nothing_is_asked_again_before_its_time():
    look, asked = question([[], []], [0.0, 0.5, 0.99, 1.0])
    assert [look("manager") for _ in range(4)] == [[], [], [], []]
    assert asked == ["manager", "manager"]


def test_where_there_was_something_there_may_be_more():
    look, asked = question([["a"], ["b"], []], [0.0, 0.1, 0.2, 0.3])
    assert [look("manager") for _ in range(4)] == [["a"], ["b"], [], []]
    assert len(asked) == 3


def test_an_answer_that_is_none_is_nothing():
    look, _ = question([None], [0.0, 0.1])
    assert [look("manager"), look("manager")] == [[], []]


def test_what_failed_is_asked_again_at_once():
    def broken(manager):
        raise RuntimeError("the database is away")

    look = Seldom(broken, 1.0, lambda: 0.0)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            look("manager")


def test_airflows_loop_asks_through_it(monkeypatch):
    from airflow.dag_processing.manager import DagFileProcessorManager as Manager

    asked = dict.fromkeys(requests.SECONDS, 0)
    for name in requests.SECONDS:

        def count(self, name=name):
            asked[name] += 1
            return []

        monkeypatch.setattr(Manager, name, count)
    monkeypatch.setattr(requests.patching, "fits", lambda *_: True)
    requests.install()
    manager = object.__new__(Manager)
    for _ in range(3):
        for name in requests.SECONDS:
            assert getattr(manager, name)() == []
    assert asked == dict.fromkeys(requests.SECONDS, 1)
