"""Runs in: tests; how often those who ask whether the stack is ready have the database looked at."""

from contextlib import contextmanager
from threading import Event

import pytest


@pytest.fixture
def database(monkeypatch):
    """A database that answers once it is let, and how often it was asked."""
    monkeypatch.setattr("airflow.utils.session.create_session", lambda **_: session())
    answers, asked = Event(), []

    @contextmanager
    def session():
        asked.append(1)
        answers.wait(20)
        yield None

    monkeypatch.setattr("airflow_celery_kit.api.snapshot.read", lambda *_: None)
    yield answers, asked
    answers.set()


def test_a_look_is_shared_while_it_is_under_way_and_kept_for_a_second(database):
    from airflow_celery_kit.api.health import KEPT_SECONDS, Looks

    answers, asked = database
    looks = Looks()
    first = looks.latest(100.0)
    assert looks.latest(100.0 + KEPT_SECONDS * 2) is first and not first.done()
    answers.set()
    assert first.result(5)["ready"] is True
    assert looks.latest(100.0 + KEPT_SECONDS * 0.9) is first
    assert looks.latest(100.0 + KEPT_SECONDS) is not first
    assert looks.last.result(5)["ready"] is True and len(asked) == 2


def test_a_look_that_hangs_is_followed_by_another_one_but_not_by_ever_more(database):
    from airflow_celery_kit.api.health import MOST_LOOKS, READY_SECONDS, Looks

    answers, asked = database
    looks = Looks()
    hanging = [looks.latest(READY_SECONDS * number) for number in range(MOST_LOOKS + 5)]
    assert len(set(hanging)) == MOST_LOOKS and hanging[-1] is hanging[MOST_LOOKS - 1]
    answers.set()
    assert all(one.result(5)["ready"] for one in hanging) and len(asked) == MOST_LOOKS
    assert looks.latest(READY_SECONDS * 20).result(5)["ready"] is True


def test_a_database_that_is_away_makes_it_not_ready_and_a_mistake_is_told(database, monkeypatch):
    from sqlalchemy.exc import OperationalError

    from airflow_celery_kit.api.health import NOBODY, Looks

    database[0].set()

    def fail(problem: Exception):
        def read(*_):
            raise problem

        monkeypatch.setattr("airflow_celery_kit.api.snapshot.read", read)

    fail(OperationalError("SELECT", {}, Exception("away")))
    assert Looks().latest(0.0).result(5) == NOBODY
    fail(KeyError("verdicts"))
    with pytest.raises(KeyError):
        Looks().latest(0.0).result(5)
