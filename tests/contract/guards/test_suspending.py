"""A suspension holds what another transaction lets in at that very moment, on a real PostgreSQL, and never touches what runs."""

import contextlib
import json
import threading
import time

import pytest

from airflow_celery_kit.guards.scopes import scope
from tests.contract.guards.conftest import SCHEDULE, limit
from tests.contract.servers import wait_for

ON_WHEELS_ALONE = True
SUSPEND = "SELECT kit.guard_suspend(%s, 'anna', 'maintenance', %s)"
RESUME = "SELECT kit.guard_resume(%s, 'ben', 'done')"
WAITS = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'SELECT kit.guard_suspend%%'"
)
WHOLE = "SELECT g.id, s.who, s.reason FROM kit.guard AS g FULL JOIN kit.guard_suspended AS s ON s.guard = g.id"
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


COUNTED = """
CREATE SEQUENCE kit.looks_of_test;
ALTER FUNCTION kit.guard_adopt RENAME TO guard_adopt_of_test;
CREATE FUNCTION kit.guard_adopt(which text) RETURNS void LANGUAGE sql AS
    $$ SELECT nextval('kit.looks_of_test'); SELECT kit.guard_adopt_of_test(which) $$
"""
AS_BEFORE = """
DROP FUNCTION kit.guard_adopt; ALTER FUNCTION kit.guard_adopt_of_test RENAME TO guard_adopt; DROP SEQUENCE kit.looks_of_test
"""
OLDER = """
UPDATE kit.guard_suspended SET at = at - make_interval(secs => %(s)s), looked_at = looked_at - make_interval(secs => %(s)s)
"""


@pytest.fixture
def sales(airflow):
    """The scope of a Dag, suspended."""
    airflow.one(SUSPEND, "limit dag:sales", json.dumps(scope("dag:sales", lambda *_: "sales")))


def older(airflow, seconds):
    """Let a suspension be so much older."""
    with contextlib.closing(airflow.connect()) as connection, connection, connection.cursor() as cursor:
        cursor.execute(OLDER, {"s": seconds})


def test_a_suspension_is_looked_after_a_few_times_however_often_the_scheduler_sleeps(airflow):
    airflow.query(COUNTED)
    try:
        airflow.one(SUSPEND, "limit dag:sales", json.dumps(scope("dag:sales", lambda *_: "sales")))
        for _ in range(200):
            airflow.query("SELECT kit.guards_ring()")
            time.sleep(0.005)
        looks = airflow.one("SELECT last_value FROM kit.looks_of_test")
        older(airflow, 300)
        airflow.query("SELECT kit.guards_ring()")
        print(f"200 sleeps: {looks} looks")
        assert 1 < looks <= 14 and airflow.one("SELECT last_value FROM kit.looks_of_test") == looks
    finally:
        airflow.query(AS_BEFORE)


def test_what_is_committed_long_after_is_taken_back_as_long_after_again(airflow, scheduler):
    airflow.guards(limit("mails", slots=5))
    (id,) = airflow.tasks(1)
    with scheduler.cursor() as cursor:
        cursor.execute(SCHEDULE, ([id],))
        airflow.one(SUSPEND, "limit dag:sales", json.dumps(scope("dag:sales", lambda *_: "sales")))
        older(airflow, 25)
        airflow.query("SELECT kit.guards_ring()")
        scheduler.commit()
    airflow.query("SELECT kit.guards_ring()")
    assert airflow.states([id]) == ["scheduled"]
    older(airflow, 30)
    airflow.query("SELECT kit.guards_ring()")
    assert is_held(airflow, id)


@pytest.mark.parametrize("made", [True, False])
def test_who_suspends_what_somebody_resumes_at_that_moment_has_all_of_it_or_nothing(airflow, scheduler, sales, made):
    """The second one as the api-server does it, which asked before whether the limit is there."""
    rule = json.dumps(scope("dag:sales", lambda *_: "sales")) if made else None
    answers = []
    with scheduler.cursor() as cursor:
        cursor.execute(RESUME, ("limit dag:sales",))
        second = threading.Thread(target=lambda: answers.append(airflow.one(SUSPEND, "limit dag:sales", rule)))
        second.start()
        wait_for("the one who suspends", lambda: airflow.one(WAITS) > 0, 5)
        scheduler.commit()
    second.join(5)
    assert answers == [0 if made else None]
    assert airflow.query(WHOLE) == ([("limit dag:sales", "anna", "maintenance")] if made else [])


def test_who_resumes_what_somebody_suspends_at_that_moment_resumes_all_of_it(airflow, scheduler):
    answers = []
    with scheduler.cursor() as cursor:
        cursor.execute(SUSPEND, ("limit dag:sales", json.dumps(scope("dag:sales", lambda *_: "sales"))))
        second = threading.Thread(target=lambda: answers.append(airflow.one(RESUME, "limit dag:sales")))
        second.start()
        time.sleep(0.3)
        scheduler.commit()
    second.join(5)
    assert answers == [0] and airflow.query(WHOLE) == []
