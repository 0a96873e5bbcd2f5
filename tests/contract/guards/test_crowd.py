"""Schedulers, workers, operators and checks at the same time, on a real PostgreSQL: nobody waits for anybody, and the rules hold throughout."""

import contextlib
import random
import threading
import time

import psycopg2
import pytest

from tests.contract.guards.conftest import SCHEDULE, breaker, limit

ON_WHEELS_ALONE = True
SECONDS, SLOTS = 8, 6
# As a scheduler does it, which locks the run first: no other one schedules the same tasks.
DUE = """
SELECT id::text FROM task_instance WHERE state IS NULL OR state = 'up_for_retry' ORDER BY random() LIMIT 40 FOR UPDATE SKIP LOCKED
"""
# As the scheduler's critical section: what it locks it sends, in one transaction.
SEND = """
WITH due AS (SELECT id FROM task_instance WHERE state = 'scheduled' ORDER BY random() LIMIT 8 FOR UPDATE SKIP LOCKED)
UPDATE task_instance AS ti SET state = 'queued', external_executor_id = gen_random_uuid()::text FROM due WHERE ti.id = due.id
"""
RUN = """
UPDATE task_instance SET state = 'running'
WHERE id = (SELECT id FROM task_instance WHERE state = 'queued' ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id::text
"""
TAKEN = "SELECT count(*) FROM task_instance WHERE state IN ('scheduled', 'queued', 'running')"


@pytest.fixture
def crowd(airflow):
    """Runs steps again and again, each kind in threads of its own; returns what went wrong."""

    def run(*kinds):
        problems, until = [], time.monotonic() + SECONDS

        def repeat(step, seed):
            chance = random.Random(seed)
            try:
                with contextlib.closing(airflow.connect()) as connection:
                    while time.monotonic() < until:
                        step(connection, chance)
            except (psycopg2.Error, AssertionError) as problem:
                problems.append(repr(problem))

        threads = [
            threading.Thread(target=repeat, args=(step, number)) for step, many in kinds for number in range(many)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS + 30)
        assert not any(thread.is_alive() for thread in threads), "somebody waits for ever"
        return problems

    return run


def scheduler(connection, chance):
    """Schedule some, then send some, as two transactions."""
    with connection, connection.cursor() as cursor:
        cursor.execute(DUE)
        cursor.execute(SCHEDULE, ([id for (id,) in cursor.fetchall()],))
    with connection, connection.cursor() as cursor:
        cursor.execute(SEND)
        time.sleep(chance.random() / 100)


def worker(connection, chance):
    """Run one to its end, which is a bad one every third time."""
    with connection, connection.cursor() as cursor:
        cursor.execute(RUN)
        found = cursor.fetchone()
    time.sleep(chance.random() / 50)
    if found:
        with connection, connection.cursor() as cursor:
            end = chance.choice(["success", "success", "up_for_retry"])
            cursor.execute("UPDATE task_instance SET state = %s WHERE id = %s", (end, found[0]))


def operator(connection, chance):
    """Trip, reset, suspend and resume."""
    with connection, connection.cursor() as cursor:
        cursor.execute(chance.choice([
            "SELECT kit.breaker_trip('breaker crm', '', 'anna', 'x', 0.2)", "SELECT kit.breaker_reset('breaker crm', '', 'anna', 'x')",
            "SELECT kit.guard_suspend('limit crm-db', 'anna', 'x')", "SELECT kit.guard_resume('limit crm-db', 'anna', 'x')",
            "SELECT kit.guards_adopt()", "SELECT kit.guards_tidy()", "SELECT kit.guards_ring()",
            "SELECT kit.breaker_verdict('crm', 'Unhealthy')",
        ]))  # fmt: skip
    time.sleep(0.05)


def watcher(connection, _):
    """See that the limit holds in every moment that anybody can see."""
    with connection, connection.cursor() as cursor:
        cursor.execute(TAKEN)
        assert cursor.fetchone()[0] <= SLOTS


def test_nobody_waits_for_anybody_and_the_limit_holds(airflow, crowd):
    airflow.guards(
        limit(slots=SLOTS),
        limit("mails", rate=600, period=1, burst=100),
        breaker(
            failures=4,
            failures_within=1,
            open_for=0.3,
            open_most=0.3,
            check_name="crm",
            health={"unhealthy": 2, "within": 10},
        ),
    )
    ids = airflow.tasks(300)
    assert crowd((scheduler, 3), (worker, 6), (operator, 1), (watcher, 1)) == []
    airflow.query("SELECT kit.guard_resume('limit crm-db', 'anna', 'x')")
    airflow.query("SELECT kit.breaker_reset('breaker crm', '', 'anna', 'x')")
    done = airflow.one("SELECT count(*) FROM task_instance WHERE state = 'success'")
    trips = airflow.one("SELECT count(*) FROM kit.guard_event WHERE what = 'breaker_open' AND who IS NULL")
    print(f"{done} of {len(ids)} tasks ended well, the breaker opened {trips} times by itself")
    assert done > 20 and trips >= 1
    airflow.query("UPDATE task_instance SET state = 'success'")
    airflow.query("UPDATE kit.admitted SET at = at - interval '2 min'")
    airflow.query("SELECT kit.guards_tidy()")
    assert airflow.one("SELECT count(*) FROM kit.admitted") == airflow.one("SELECT count(*) FROM kit.held") == 0
