"""A suspension holds what another transaction lets in at that very moment, on a real PostgreSQL, and never touches what runs."""

import contextlib
import json

import pytest

from airflow_celery_kit.guards.scopes import scope
from tests.contract.guards.conftest import SCHEDULE, limit

ON_WHEELS_ALONE = True
SUSPEND = "SELECT kit.guard_suspend(%s, 'anna', 'maintenance', %s)"
SEND = "UPDATE task_instance SET state = 'queued', external_executor_id = 'm1' WHERE id = %s"


@pytest.fixture
def scheduler(airflow):
    """A scheduler's connection, whose transactions the test ends."""
    with contextlib.closing(airflow.connect()) as made:
        yield made


def is_held(airflow, id):
    """Whether a task waits as if it had never been due, and says that somebody suspended it."""
    ((state, tries),) = airflow.query("SELECT state, try_number FROM task_instance WHERE id = %s", id)
    return (state, tries) == (None, 0) and "suspended by anna, maintenance" in (airflow.why(id) or "")


@pytest.mark.parametrize("of_a_limit", [True, False], ids=["limit", "scope"])
def test_what_is_let_in_while_somebody_suspends_is_taken_back_before_the_scheduler_sleeps(
    airflow, scheduler, of_a_limit
):
    airflow.guards(limit(slots=5), *([] if of_a_limit else [limit("mails", slots=5)]))
    guard, made = "limit crm-db", None
    if not of_a_limit:
        guard, made = "limit dag:sales", scope("dag:sales", lambda *_: "sales")
    (id,) = airflow.tasks(1)
    with scheduler.cursor() as cursor:
        cursor.execute(SCHEDULE, ([id],))
        assert airflow.one(SUSPEND, guard, json.dumps(made) if made else None) == 0
        scheduler.commit()
    assert airflow.states([id]) == ["scheduled"]
    airflow.query("SELECT kit.guards_ring()")
    assert is_held(airflow, id) and airflow.schedule([id]) == 0


def test_what_was_let_in_is_not_sent_any_more(airflow, scheduler):
    """A scheduler that has much to do does not sleep between letting in and sending."""
    airflow.guards(limit(slots=5))
    (id,) = airflow.tasks(1)
    with scheduler.cursor() as cursor:
        cursor.execute(SCHEDULE, ([id],))
        airflow.one(SUSPEND, "limit crm-db", None)
        scheduler.commit()
        cursor.execute(SEND, (id,))
        scheduler.commit()
    assert is_held(airflow, id)


def test_what_is_being_sent_is_taken_back_with_its_message(airflow, scheduler):
    airflow.guards(limit(slots=5))
    (id,) = airflow.tasks(1)
    airflow.schedule([id])
    with scheduler.cursor() as cursor:
        cursor.execute(SEND, (id,))
        assert airflow.one(SUSPEND, "limit crm-db", None) == 0
        scheduler.commit()
    assert airflow.states([id]) == ["queued"]
    airflow.query("SELECT kit.guards_ring()")
    assert is_held(airflow, id) and airflow.query("SELECT message FROM kit.withdrawal") == [("m1",)]


@pytest.mark.parametrize("state", ["running", "restarting", "deferred", "awaiting_input"])
def test_what_runs_goes_on(airflow, state):
    airflow.guards(limit(slots=5))
    (id,) = airflow.tasks(1)
    airflow.schedule([id])
    for one in ("queued", "running", state):
        airflow.becomes(one, id)
    airflow.one(SUSPEND, "limit crm-db", None)
    airflow.query("SELECT kit.guards_ring()")
    assert airflow.states([id]) == [state]


def test_what_goes_on_after_a_deferral_is_sent(airflow):
    airflow.guards(limit(slots=5))
    (id,) = airflow.tasks(1)
    airflow.schedule([id])
    for one in ("queued", "running", "deferred"):
        airflow.becomes(one, id)
    airflow.query("UPDATE task_instance SET next_method = 'execute_complete' WHERE id = %s", id)
    airflow.one(SUSPEND, "limit crm-db", None)
    for one in ("scheduled", "queued"):
        airflow.becomes(one, id)
        airflow.query("SELECT kit.guards_ring()")
        assert airflow.states([id]) == [one]
