"""What wakes the scheduler, on a real database: the triggers that ring, and the sleep that ends."""

import contextlib
import threading
import time

import psycopg2
import pytest

from airflow_celery_kit.scheduler import wake
from tests.contract.servers import wait_for
from tests.contract.tables import METADATA, ROW

ON_WHEELS_ALONE = True
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
    if made.connection:
        made.connection.close()
    for table in ("task_instance", "dag_run", "dag", "asset_dag_run_queue", "callback", "deadline"):
        ready.query(f"DELETE FROM {table}", **METADATA)


@pytest.mark.parametrize(
    ("before", "after", "rings"),
    [
        ("running", "success", True), ("running", "failed", True), ("running", "skipped", True),
        ("running", "up_for_retry", True), ("running", "up_for_reschedule", True), ("success", None, True),
        ("deferred", "scheduled", True), ("queued", "scheduled", True),
        (None, "scheduled", False), ("scheduled", "queued", False), ("queued", "running", False),
        ("running", "deferred", False), (None, "upstream_failed", True), ("scheduled", "removed", True), ("success", "success", False),
    ],
)  # fmt: skip
def test_what_the_scheduler_has_to_look_at_wakes_it_and_what_it_did_itself_does_not(ready, bell, before, after, rings):
    ready.query(ROW, before, "m1", **METADATA)
    ready.query("UPDATE task_instance SET state = %s", after, **METADATA)
    assert bell.wait(SOON if rings else LATER) is rings
    assert not bell.wait(0), "each ring is heard once"


def test_it_is_told_which_run_s_task_it_was(ready, bell):
    ready.query(ROW, "running", "m1", **METADATA)
    assert bell.rung() is None, "it has not listened before"
    ((run,),) = ready.query("SELECT dag_id || E'\\n' || run_id FROM task_instance", **METADATA)
    assert bell.rung() == set()
    ready.query("UPDATE task_instance SET state = 'success'", **METADATA)
    heard: set[str] = set()
    wait_for("the ring", lambda: heard.update(bell.rung()) or heard)
    assert heard == {run}
    assert not bell.wait(0), "this loop looks at it"
    assert bell.rung() == set(), "each ring counts once"


def test_whatever_else_rings_names_no_run(ready, bell):
    bell.rung()
    ready.query("INSERT INTO dag_run (state) VALUES ('queued')", **METADATA)
    assert bell.wait(SOON)
    assert bell.rung() == set(), "new runs were never looked at, which is known without a name"


def test_it_knows_where_only_tasks_rang(ready, bell):
    assert not bell.only_tasks(), "it has not listened before"
    bell.rung()
    assert not bell.only_tasks(), "nothing rang"
    ready.query(ROW, "running", "m1", **METADATA)
    ready.query("UPDATE task_instance SET state = 'success'", **METADATA)
    wait_for("the ring", bell.only_tasks)
    assert bell.rung(), "the run is still named"
    ready.query("INSERT INTO dag_run (state) VALUES ('queued')", **METADATA)
    ready.query("UPDATE task_instance SET state = NULL", **METADATA)
    assert bell.wait(SOON)
    wait_for("both", lambda: (bell.other and bell.names) or bell.wait(LATER))
    assert not bell.only_tasks(), "a run was asked for too"
    assert bell.only_tasks(), "which counts once"


def test_without_its_triggers_or_its_connection_it_does_not_know(ready, bell):
    bell.rung()
    bell.names = {"sales\nmonday"}
    assert not bell.only_tasks(), "the first time all may have changed"
    assert bell.only_tasks()
    bell.rings = False
    assert not bell.only_tasks()
    bell.rings = True
    bell.connection.close()
    assert not bell.only_tasks()
    assert bell.rung() is None


def test_a_ring_in_the_middle_of_a_loop_ends_the_next_sleep(ready, bell):
    bell.rung()
    ready.query("INSERT INTO dag_run (state) VALUES ('queued')", **METADATA)
    wait_for("the ring", lambda: bell.rung() is not None and bell.missed)
    assert bell.wait(SOON)
    assert not bell.wait(0), "each ring is heard once"


def test_without_a_connection_any_run_may_have_changed(ready, bell):
    bell.rung()
    ready.query("SELECT pg_terminate_backend(%s)", bell.connection.info.backend_pid)
    wait_for("the connection's end", lambda: bell.rung() is None)
    bell.next_try = 0.0
    assert bell.rung() is None, "it listens again, and does not know what rang meanwhile"
    assert bell.rung() == set()


def test_a_new_run_and_one_that_is_queued_again_wake_it_and_one_that_ends_does_not(ready, bell):
    ready.query("INSERT INTO dag_run (state) VALUES ('queued')", **METADATA)
    assert bell.wait(SOON)
    ready.query("UPDATE dag_run SET state = 'success'", **METADATA)
    assert not bell.wait(LATER)
    ready.query("UPDATE dag_run SET state = 'queued'", **METADATA)
    assert bell.wait(SOON)


@pytest.mark.parametrize(
    ("before", "change", "rings"),
    [
        ("true, false, false", "is_paused = false", True), ("false, true, false", "is_stale = false", True),
        ("false, false, true", "has_import_errors = false", True),
        ("false, false, false", "next_dagrun_create_after = now()", True),
        ("false, false, false", "next_dagrun_create_after = now() + interval '2 days'", False),
        ("true, false, false", "next_dagrun_create_after = now()", False), ("false, false, false", "is_paused = true", False),
    ],
)  # fmt: skip
def test_a_dag_whose_runs_may_come_now_or_sooner_wakes_it(ready, bell, before, change, rings):
    ready.query(f"INSERT INTO dag VALUES ('sales', {before}, now() + interval '1 day')", **METADATA)
    bell.wait(0)
    ready.query(f"UPDATE dag SET {change}", **METADATA)
    assert bell.wait(SOON if rings else LATER) is rings


@pytest.mark.parametrize(
    "row",
    [
        "dag VALUES ('sales', false, false, false, NULL)", "asset_dag_run_queue VALUES (1, 'sales')",
        "partitioned_asset_key_log DEFAULT VALUES", "connection_test_request DEFAULT VALUES",
    ],
)  # fmt: skip
def test_a_new_dag_an_updated_asset_and_a_connection_to_test_wake_it(ready, bell, row):
    ready.query(f"INSERT INTO {row}", **METADATA)
    assert bell.wait(SOON)


# A sleep that nothing ends takes longer than any slow machine delays one that ends.
REST, RESTED, MUCH_LESS = 2.0, 2.0, 20.0


def slept(bell, seconds: float) -> float:
    """How long a sleep was that nothing rang into."""
    begun = time.monotonic()
    assert not bell.wait(seconds)
    return time.monotonic() - begun


def test_the_second_quiet_look_is_rest(bell):
    bell.wait(0)
    bell.rest = REST
    assert slept(bell, 0.2) >= RESTED


def test_what_ended_a_moment_ago_is_followed_by_a_short_sleep(ready, bell):
    ready.query("INSERT INTO dag_run (state) VALUES ('running')", **METADATA)
    bell.wait(0)
    ready.query("UPDATE dag_run SET state = 'success'", **METADATA)
    bell.rest = 2 * MUCH_LESS
    assert slept(bell, 0.2) < MUCH_LESS


def test_what_rang_is_followed_by_a_short_sleep(ready, bell):
    bell.wait(0)
    ready.query(ROW, "running", "m1", **METADATA)
    ready.query("UPDATE task_instance SET state = 'success'", **METADATA)
    assert bell.wait(SOON)
    bell.rest = 2 * MUCH_LESS
    assert slept(bell, 0.2) < MUCH_LESS


@pytest.mark.parametrize(
    "row",
    [
        "dag_run (state) VALUES ('running')", "dag_run (state) VALUES ('queued')", "callback (state) VALUES ('pending')",
        "callback (state, type) VALUES ('queued', 'executor')",
        "dag VALUES ('sales', false, false, false, now() - interval '2 s')",
    ],
)  # fmt: skip
def test_it_does_not_rest_while_something_is_under_way_or_overdue(ready, bell, row):
    ready.query(f"INSERT INTO {row}", **METADATA)
    bell.wait(0)
    bell.wait(0)
    bell.rest = 2 * MUCH_LESS
    assert slept(bell, 0.2) < MUCH_LESS


def test_it_does_not_rest_where_nothing_would_ring(ready, bell):
    bell.wait(0)
    ready.query("ALTER TRIGGER kit_wake ON dag_run RENAME TO gone", **METADATA)
    try:
        bell.rest = 2 * MUCH_LESS
        assert slept(bell, 0.2) < MUCH_LESS
    finally:
        ready.query("ALTER TRIGGER gone ON dag_run RENAME TO kit_wake", **METADATA)


DUE = [
    ("dag VALUES ('sales', false, false, false, now() + interval '1 s')", True),
    ("deadline (deadline_time) VALUES (now() + interval '1 s')", True),
    ("dag VALUES ('sales', true, false, false, now() + interval '1 s')", False),
    ("dag VALUES ('sales', false, true, false, now() + interval '1 s')", False),
    ("dag VALUES ('sales', false, false, true, now() + interval '1 s')", False),
    ("dag VALUES ('sales', false, false, false, now() - interval '90 s')", False),
    ("deadline (deadline_time, missed) VALUES (now() + interval '1 s', true)", False),
]


@pytest.mark.parametrize(("row", "wakes"), DUE)
def test_it_wakes_when_a_run_or_a_deadline_is_due_and_for_nothing_else(ready, bell, row, wakes):
    bell.wait(0)
    ready.query(f"INSERT INTO {row}", **METADATA)
    bell.wait(0)
    bell.wait(0)
    bell.rest = 2 * MUCH_LESS if wakes else REST
    found = slept(bell, 0.2)
    assert found < MUCH_LESS if wakes else found >= RESTED


def test_it_wakes_for_a_run_that_is_due_while_others_are_under_way(ready, bell):
    ready.query("INSERT INTO dag_run (state) VALUES ('running')", **METADATA)
    ready.query("INSERT INTO dag VALUES ('sales', false, false, false, now() + interval '1 s')", **METADATA)
    bell.wait(0)
    bell.wait(0)
    assert slept(bell, 2 * MUCH_LESS) < MUCH_LESS


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
