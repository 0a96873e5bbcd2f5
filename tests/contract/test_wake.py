"""What wakes the scheduler, on a real database: the triggers that ring, and the sleep that ends."""

import contextlib
import threading
import time

import psycopg2
import pytest

from airflow_celery_kit.scheduler import wake
from tests.contract.servers import wait_for
from tests.contract.tables import METADATA, ROW

SOON, LATER = 5.0, 0.3


@pytest.fixture
def bell(ready):
    """A bell in the metadata database, listening."""
    settings = ready.settings

    def connect():
        return psycopg2.connect(
            host="127.0.0.1", port=settings["POSTGRES_PORT"], user="airflow", dbname="airflow",
            password=settings["AIRFLOW_DB_PASSWORD"], connect_timeout=2,
        )  # fmt: skip

    made = wake.Bell(connect)
    assert not made.wait(0), "it begins to listen"
    yield made
    made.connection.close()
    ready.query(
        "DELETE FROM task_instance; DELETE FROM dag_run; DELETE FROM dag; DELETE FROM asset_dag_run_queue", **METADATA
    )


@pytest.mark.parametrize(
    ("before", "after", "rings"),
    [
        ("running", "success", True), ("running", "failed", True), ("running", "skipped", True),
        ("running", "up_for_retry", True), ("running", "up_for_reschedule", True), ("success", None, True),
        ("deferred", "scheduled", True), ("queued", "scheduled", True),
        (None, "scheduled", False), ("scheduled", "queued", False), ("queued", "running", False),
        ("running", "deferred", False), (None, "upstream_failed", False), ("success", "success", False),
    ],
)  # fmt: skip
def test_what_the_scheduler_has_to_look_at_wakes_it_and_what_it_did_itself_does_not(ready, bell, before, after, rings):
    ready.query(ROW, before, "m1", **METADATA)
    ready.query("UPDATE task_instance SET state = %s", after, **METADATA)
    assert bell.wait(SOON if rings else LATER) is rings
    assert not bell.wait(0), "each ring is heard once"


def test_a_new_run_and_one_that_is_queued_again_wake_it_and_one_that_ends_does_not(ready, bell):
    ready.query("INSERT INTO dag_run (state) VALUES ('queued')", **METADATA)
    assert bell.wait(SOON)
    ready.query("UPDATE dag_run SET state = 'success'", **METADATA)
    assert not bell.wait(LATER)
    ready.query("UPDATE dag_run SET state = 'queued'", **METADATA)
    assert bell.wait(SOON)


@pytest.mark.parametrize(
    ("paused", "stale", "change", "rings"),
    [
        (True, False, "is_paused = false", True), (False, True, "is_stale = false", True),
        (False, False, "next_dagrun_create_after = now()", True),
        (False, False, "next_dagrun_create_after = now() + interval '2 days'", False),
        (True, False, "next_dagrun_create_after = now()", False), (False, False, "is_paused = true", False),
    ],
)  # fmt: skip
def test_a_dag_whose_runs_may_come_now_or_sooner_wakes_it(ready, bell, paused, stale, change, rings):
    ready.query("INSERT INTO dag VALUES ('sales', %s, %s, now() + interval '1 day')", paused, stale, **METADATA)
    ready.query(f"UPDATE dag SET {change}", **METADATA)
    assert bell.wait(SOON if rings else LATER) is rings


@pytest.mark.parametrize("table", ["asset_dag_run_queue VALUES (1, 'sales')", "connection_test_request DEFAULT VALUES"])
def test_an_updated_asset_and_a_connection_to_test_wake_it(ready, bell, table):
    ready.query(f"INSERT INTO {table}", **METADATA)
    assert bell.wait(SOON)


def slept(bell, seconds: float) -> float:
    """How long a sleep was that nothing rang into."""
    begun = time.monotonic()
    assert not bell.wait(seconds)
    return time.monotonic() - begun


@pytest.mark.parametrize("state", ["running", "queued"])
def test_it_sleeps_longer_while_no_run_is_under_way(ready, bell, state):
    bell.rest = 1.0
    assert slept(bell, 0.2) >= 1.0
    ready.query("INSERT INTO dag_run (state) VALUES (%s)", state, **METADATA)
    bell.wait(0.2)
    assert 0.2 <= slept(bell, 0.2) < 0.9
    ready.query("UPDATE dag_run SET state = 'success'", **METADATA)
    assert slept(bell, 0.2) >= 1.0


@pytest.mark.parametrize(
    ("paused", "stale", "due", "wakes"),
    [(False, False, 0.5, True), (True, False, 0.5, False), (False, True, 0.5, False), (False, False, -90, False)],
)
def test_it_wakes_at_the_moment_at_which_a_schedule_s_run_is_due(ready, bell, paused, stale, due, wakes):
    bell.rest = 1.5
    ready.query("INSERT INTO dag VALUES ('sales', %s, %s, now() + %s * interval '1 s')", paused, stale, due, **METADATA)
    found = slept(bell, 1.0)
    assert (found < 1.0) is wakes
    assert ready.query("SELECT next_dagrun_create_after <= now() FROM dag", **METADATA) == [(True,)]


def test_it_wakes_for_a_run_that_is_due_while_others_are_under_way(ready, bell):
    ready.query("INSERT INTO dag_run (state) VALUES ('running')", **METADATA)
    ready.query("INSERT INTO dag VALUES ('sales', false, false, now() + interval '500 ms')", **METADATA)
    assert slept(bell, 2.0) < 1.0


def test_a_run_that_was_due_a_moment_ago_is_no_reason_to_rest(ready, bell):
    bell.rest = 1.5
    ready.query("INSERT INTO dag VALUES ('sales', false, false, now() - interval '2 s')", **METADATA)
    assert 0.2 <= slept(bell, 0.2) < 1.0


def test_it_wakes_in_the_middle_of_its_sleep(ready, bell):
    ready.query(ROW, "running", "m1", **METADATA)
    threading.Timer(0.5, ready.query, ("UPDATE task_instance SET state = 'success'",), METADATA).start()
    begun = time.monotonic()
    assert bell.wait(60)
    assert 0.4 < time.monotonic() - begun < 30


def test_it_sleeps_as_long_as_it_was_told_where_nothing_happens(bell):
    begun = time.monotonic()
    assert not bell.wait(0.5)
    assert time.monotonic() - begun >= 0.5


def test_a_connection_that_is_lost_costs_the_rest_of_a_sleep_and_is_made_again(ready, bell, caplog):
    backend = bell.connection.info.backend_pid
    ready.query("SELECT pg_terminate_backend(%s)", backend)
    there = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
    wait_for("the end of its backend", lambda: ready.query(there, backend) == [(0,)])
    begun = time.monotonic()
    assert not bell.wait(0.5)
    assert time.monotonic() - begun >= 0.5
    assert "the scheduler is not woken, it looks every second" in caplog.text
    bell.next_try = 0.0
    bell.wait(0)
    ready.query("INSERT INTO dag_run (state) VALUES ('queued')", **METADATA)
    assert bell.wait(SOON)


def test_a_database_that_is_away_is_asked_every_few_seconds_only():
    tries, now = [], [100.0]

    def connect():
        tries.append(now[0])
        raise psycopg2.OperationalError("away")

    bell = wake.Bell(connect, clock=lambda: now[0])
    for _ in range(12):
        assert not bell.wait(0.01)
        now[0] += 1.0
    assert tries == [100.0, 105.0, 110.0]


def test_everything_else_of_the_time_module_stays():
    bell = contextlib.nullcontext()
    bell.wait = lambda seconds: seconds
    clock = wake.Clock(bell)
    assert (clock.sleep(3), clock.monotonic, clock.time) == (3, time.monotonic, time.time)
