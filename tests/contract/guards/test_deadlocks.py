"""Two transactions that meet at the same breaker, on a real PostgreSQL: none of Airflow's fails because of it, and no failure is lost."""

import contextlib
import threading
import time

import pytest

from airflow_celery_kit.scheduler import wake
from tests.contract.guards.conftest import breaker
from tests.contract.servers import wait_for

ON_WHEELS_ALONE = True
FAIL = "UPDATE task_instance SET state = 'failed' WHERE id = %s"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE task_instance%%'"
FAILED = "SELECT cardinality(failed_at) FROM kit.breaker"


@pytest.fixture
def scheduler(airflow):
    """A scheduler's connection, whose transactions the test ends."""
    with contextlib.closing(airflow.connect()) as made:
        yield made


def under_way(airflow, number):
    """Tasks that run."""
    ids = airflow.tasks(number)
    assert airflow.schedule(ids) == number
    for state in ("queued", "running"):
        airflow.becomes(state, *ids)
    return ids


def test_a_scheduler_that_ends_many_tasks_does_not_fail_for_a_worker_that_ends_one(airflow, scheduler):
    """As where heartbeats are missing: the scheduler has counted one failure, and comes to a task whose worker has just said the same."""
    airflow.guards(breaker(failures=5))
    first, second = under_way(airflow, 2)
    with scheduler.cursor() as cursor:
        cursor.execute(FAIL, (first,))
        worker = threading.Thread(target=airflow.query, args=(FAIL, second))
        worker.start()
        wait_for("the worker at the breaker", lambda: airflow.one(WAITING) > 0, 5)
        # PostgreSQL looks for a deadlock a second after a wait has begun, and then ends who comes last.
        worker.join(1.5)
        cursor.execute("UPDATE task_instance SET state = 'up_for_retry' WHERE id = %s", (second,))
        scheduler.commit()
    worker.join()
    airflow.query("SELECT kit.guards_ring()")
    assert airflow.one(FAILED) == 2


def test_a_failure_that_finds_its_breaker_in_other_hands_is_counted_before_the_scheduler_sleeps(airflow, scheduler):
    airflow.guards(breaker(failures=2))
    first, second, waits = under_way(airflow, 3)
    airflow.becomes("success", waits)
    with scheduler.cursor() as cursor:
        cursor.execute(FAIL, (first,))
        airflow.query("SET statement_timeout = '5s';" + FAIL, second)
        scheduler.commit()
    assert airflow.breaker()[0] == "closed"
    airflow.query("SELECT kit.guards_ring()")
    assert airflow.breaker()[:2] == ("open", "2 failures in 60 s")


def test_a_scheduler_that_never_sleeps_hears_within_two_seconds(airflow, scheduler):
    airflow.guards(breaker(failures=2))
    first, second = under_way(airflow, 2)
    bell = wake.Bell(airflow.connect)
    with scheduler.cursor() as cursor:
        bell.serve()
        cursor.execute(FAIL, (first,))
        airflow.query(FAIL, second)
        bell.serve()
        scheduler.commit()
    try:
        until = time.monotonic() + 2
        while airflow.breaker()[0] == "closed" and time.monotonic() < until:
            # As it does in each of its loops.
            bell.serve()
            bell.rung()
        assert airflow.breaker()[:2] == ("open", "2 failures in 60 s")
    finally:
        bell.connection.close()


def test_a_probe_that_leaves_without_an_end_waits_for_nobody(airflow, scheduler):
    airflow.guards(breaker(failures=1))
    first, probe = airflow.tasks(2)
    airflow.schedule([first])
    airflow.becomes("queued", first)
    airflow.becomes("running", first)
    airflow.becomes("failed", first)
    airflow.query("UPDATE kit.breaker SET until = clock_timestamp()")
    assert airflow.schedule([probe]) == 1 and airflow.breaker()[2] == probe
    with scheduler.cursor() as cursor:
        cursor.execute("SELECT FROM kit.breaker FOR UPDATE")
        airflow.query(
            "SET statement_timeout = '300ms'; UPDATE task_instance SET state = 'removed' WHERE id = %s", probe
        )
        scheduler.commit()
    assert airflow.schedule(airflow.tasks(1, run="r2")) == 1, "another one tries it out"
