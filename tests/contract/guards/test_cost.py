"""What guards cost a scheduler, measured on a real PostgreSQL: nothing that shows without guards, little with them."""

import contextlib
import json
import time
from statistics import median

import pytest

from tests.contract.guards.conftest import breaker, limit
from tests.slack import PATIENCE

ON_WHEELS_ALONE = True
NUMBER = 10_000
# Tasks that began before any guard was there, half of them not sent yet.
UNDER_WAY = """
ALTER TABLE task_instance DISABLE TRIGGER USER;
INSERT INTO task_instance (dag_id, run_id, task_id, map_index, try_number, state, queue, pool)
SELECT 'sales' || n %% 50, 'r1', 'load', n, 1, CASE WHEN n %% 2 = 0 THEN 'running' ELSE 'scheduled' END, 'default', 'default_pool'
FROM generate_series(1, %s) AS n;
ALTER TABLE task_instance ENABLE TRIGGER USER
"""


def seconds(airflow, number, times=3, where="true"):
    """The median time of scheduling many tasks in one statement, taken back each time."""
    spent = []
    with contextlib.closing(airflow.connect()) as connection, connection.cursor() as cursor:
        for _ in range(times):
            begun = time.perf_counter()
            cursor.execute(
                f"UPDATE task_instance SET state = 'scheduled', try_number = try_number + 1 WHERE state IS NULL AND {where}"
            )
            spent.append(time.perf_counter() - begun)
            assert cursor.rowcount == number
            connection.rollback()
    return median(spent)


def test_without_guards_it_costs_nothing_that_shows(airflow):
    airflow.tasks(NUMBER)
    pairs = []
    # In turns, and the best of each: others use the machine, too.
    for _ in range(5):
        airflow.query("ALTER TABLE task_instance DISABLE TRIGGER kit_hold_guarded")
        try:
            without = seconds(airflow, NUMBER, times=1)
        finally:
            airflow.query("ALTER TABLE task_instance ENABLE TRIGGER kit_hold_guarded")
        pairs.append((without, seconds(airflow, NUMBER, times=1)))
    without, there = map(min, zip(*pairs, strict=True))
    print(f"{NUMBER} rows: {without:.3f} s without the trigger, {there:.3f} s with it and no guard")
    assert there - without < max(0.15, 0.5 * without)


@pytest.mark.parametrize(("taken", "number"), [(1000, 100), (3, 500)])
def test_a_look_is_cheap_with_a_hundred_thousand_tasks_on_record(airflow, taken, number):
    airflow.tasks(100_000, dag="past")
    airflow.query("ALTER TABLE task_instance DISABLE TRIGGER USER")
    airflow.query("UPDATE task_instance SET state = 'success'")
    airflow.query("ALTER TABLE task_instance ENABLE TRIGGER USER")
    airflow.guards(limit(slots=taken), *(limit(f"l{n}", dags=f"^(?:x{n}.*)$", slots=1) for n in range(20)))
    ids = airflow.tasks(taken + number)
    assert airflow.schedule(ids[:taken]) == taken
    airflow.query("ANALYZE task_instance, kit.admitted")
    assert airflow.schedule(ids[taken:]) == 0
    spent = seconds(airflow, 0)
    print(f"{number} tasks held by a limit of {taken}: {spent:.3f} s a look, {spent / number * 1e6:.0f} µs each")
    assert spent < 2 * PATIENCE


def test_what_began_before_its_guards_is_counted_in_rounds_that_stay_within_the_controller_s_second(airflow):
    number, guards = 20_000, 6
    airflow.query(UNDER_WAY, number)
    rules = [limit(f"all{n}", slots=number) for n in range(guards - 1)] + [breaker()]
    steps = [("SELECT kit.guards_apply(%s)", (json.dumps(rules),))] + [("SELECT kit.guards_adopt()", ())] * 100
    spent = []
    with contextlib.closing(airflow.connect("kit")) as connection:
        for statement, values in steps:
            with connection, connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = '{PATIENCE:.0f}s'")
                begun = time.perf_counter()
                cursor.execute(statement, values)
                spent.append(time.perf_counter() - begun)
                cursor.execute("SELECT count(*) FROM kit.admitted")
                if (counted := cursor.fetchone()[0]) == number * guards:
                    break
    print(f"{number} tasks, {guards} guards: {len(spent)} rounds, the longest {max(spent):.2f} s")
    assert counted == number * guards


def test_an_operator_waits_for_no_taking_back_of_thousands(airflow):
    airflow.guards(limit(slots=20_000))
    airflow.query(UNDER_WAY, 20_000)
    begun = time.perf_counter()
    taken = airflow.one("SELECT kit.guard_suspend('limit crm-db', 'anna', 'x')")
    print(f"{taken} of 10000 taken back at once, after {time.perf_counter() - begun:.2f} s")
    rounds = 0
    while airflow.query("SELECT FROM task_instance WHERE state = 'scheduled' LIMIT 1"):
        airflow.query("SELECT kit.guards_ring()")
        rounds += 1
    assert 0 < taken < 10_000 and rounds < 30
    assert airflow.one("SELECT count(*) FROM task_instance WHERE state = 'running'") == 10_000
