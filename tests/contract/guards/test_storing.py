"""Dags that are stored, and the file that is put in force, at the same time on a real PostgreSQL: no Dag loses what it says of guards."""

import contextlib
import json
import threading
import time

import pytest

from tests.contract.guards.conftest import limit
from tests.slack import PATIENCE

ON_WHEELS_ALONE = True
STORE = "INSERT INTO serialized_dag (dag_id, data) VALUES (%s, %s)"
# What a large installation says in its Dags.
SAID = """
INSERT INTO kit.guard_said (dag_id, task_id, said)
SELECT 'dag' || n / 20, 'task' || n, jsonb_build_object('limit', jsonb_build_array('l' || n %% 50), 'breaker', jsonb_build_array('b' || n %% 50),
    'define', jsonb_build_array(%s::jsonb || jsonb_build_object('name', 'l' || n %% 50)))
FROM generate_series(1, %s) AS n
"""


def stored(*names, breakers=()):
    """A stored Dag whose tasks define these limits, and name these breakers."""
    tasks = [
        {"task_id": name, "executor_config": {"kit": {"limit": [name], "define": [limit(name, slots=1)]}}} for name in names
    ] + [{"task_id": name, "executor_config": {"kit": {"breaker": name}}} for name in breakers]  # fmt: skip
    return json.dumps({"dag": {"tasks": [{"__var": task} for task in tasks]}})


@pytest.fixture
def processor(airflow):
    """A Dag processor's connection, whose transactions the test ends."""
    with contextlib.closing(airflow.connect()) as made:
        yield made


def test_two_dag_processors_that_store_the_same_guards_in_opposite_order_lose_none(airflow):
    """Each stores the Dags of one file in one transaction."""
    both = threading.Barrier(2)

    def store(name, first, second):
        with contextlib.closing(airflow.connect()) as connection, connection, connection.cursor() as cursor:
            cursor.execute(STORE, (f"{name}1", stored(first)))
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(0.5)
            cursor.execute(STORE, (f"{name}2", stored(second)))

    threads = [threading.Thread(target=store, args=names) for names in (("a", "x", "y"), ("b", "y", "x"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert airflow.query("SELECT dag_id FROM kit.guard_said ORDER BY 1") == [("a1",), ("a2",), ("b1",), ("b2",)]
    assert airflow.query("SELECT id FROM kit.guard ORDER BY 1") == [("limit x",), ("limit y",)]


def test_a_guard_that_a_dag_is_about_to_name_is_not_tidied_away(airflow, processor):
    airflow.query(STORE, "first", stored(breakers=["crm"]))
    airflow.query("UPDATE serialized_dag SET data = %s", stored())
    with processor.cursor() as cursor:
        cursor.execute(STORE, ("second", stored(breakers=["crm"])))
        airflow.query("SET statement_timeout = '5s'; SELECT kit.guards_tidy()")
        processor.commit()
    assert airflow.query("SELECT id FROM kit.guard") == [("breaker crm",)]


def test_a_file_is_put_in_force_within_the_controller_s_second_whatever_dags_say(airflow):
    airflow.query(SAID, json.dumps(limit(slots=1)), 20_000)
    begun = time.perf_counter()
    airflow.guards(limit("l7", slots=7))
    spent = time.perf_counter() - begun
    print(f"20000 tasks that define a limit and name a breaker: {spent:.2f} s")
    found = dict(airflow.query("SELECT id, slots FROM kit.guard WHERE kind = 'limit'"))
    assert len(found) == 50 and found["limit l7"] == 7 and found["limit l8"] == 1
    assert airflow.one("SELECT count(*) FROM kit.guard WHERE kind = 'breaker'") == 50
    assert spent < PATIENCE
