"""What guards cost a scheduler, measured on a real PostgreSQL: nothing that shows without guards, little with them."""

import contextlib
import time
from statistics import median

import pytest

from tests.contract.guards.conftest import limit

ON_WHEELS_ALONE = True
NUMBER = 10_000


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
    airflow.query("ALTER TABLE task_instance DISABLE TRIGGER kit_hold_guarded")
    try:
        without = seconds(airflow, NUMBER)
    finally:
        airflow.query("ALTER TABLE task_instance ENABLE TRIGGER kit_hold_guarded")
    there = seconds(airflow, NUMBER)
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
    assert spent < 2
