"""What is of no use any more goes, on a real PostgreSQL, so many rows at a time: a heap of it ends no round of the controller."""

import contextlib
import time

from airflow_celery_kit.controller import database
from airflow_celery_kit.controller.guarding import Guarding
from tests.contract.guards.conftest import limit
from tests.contract.guards.test_controller_keeps_them import Seen
from tests.slack import PATIENCE

ON_WHEELS_ALONE = True
NUMBER, MOST = 5000, 2000
TABLES = (
    "admitted",
    "held",
    "rate",
    "breaker",
    "breaker_news",
    "guard_said",
    "guard_event",
    "guard_fault",
    "guard_probe",
)
# Days old, of tasks, Dags and guards that are gone; one guard is there.
LEFT = """
INSERT INTO kit.admitted (task, guard, token, at)
SELECT gen_random_uuid(), 'limit gone', '', now() - interval '8 days' FROM generate_series(1, %(n)s);
INSERT INTO kit.held (task, dag_id, run_id, task_id, map_index, guard, token, cause)
SELECT gen_random_uuid(), 'd', 'r', 't', 1, 'limit gone', '', 'slots' FROM generate_series(1, %(n)s);
INSERT INTO kit.rate (guard, token, next) SELECT 'limit gone', n, now() - interval '8 days' FROM generate_series(1, %(n)s) AS n;
INSERT INTO kit.breaker (guard, token) SELECT 'breaker gone', n FROM generate_series(1, %(n)s) AS n;
INSERT INTO kit.breaker_news (guard, token, task, became, at)
SELECT 'breaker gone', '', gen_random_uuid(), 'broke', now() - interval '8 days' FROM generate_series(1, %(n)s);
INSERT INTO kit.guard_said (dag_id, task_id, said) SELECT 'gone', n, '{"limit": ["x"], "breaker": []}' FROM generate_series(1, %(n)s) AS n;
INSERT INTO kit.guard_event (at, level, guard, token, what, reason)
SELECT now() - interval '8 days', 'info', 'limit gone', '', 'x', 'x' FROM generate_series(1, %(n)s);
INSERT INTO kit.guard_fault (at, what) SELECT now() - interval '8 days', 'x' FROM generate_series(1, %(n)s);
INSERT INTO kit.guard_probe (dag_id, run_id, task_id, map_index, number, at)
SELECT 'd', 'r', 't', n, 1, now() - interval '8 days' FROM generate_series(1, %(n)s) AS n
"""
GUARDS = """
INSERT INTO kit.guard (id, kind, name, origin, rule, named) SELECT 'limit ' || n, 'limit', n, 'dag', '{}', true FROM generate_series(0, %s - 1) AS n
"""
NAMED = """
INSERT INTO kit.guard_said SELECT 'd', n, jsonb_build_object('limit', jsonb_build_array((n / 5)::text), 'breaker', '[]'::jsonb)
FROM generate_series(0, %s - 1) AS n
"""


def left(airflow):
    """How many rows each table has."""
    return {name: airflow.one(f"SELECT count(*) FROM kit.{name}") for name in TABLES}


def leave(airflow, number):
    """Have so much left over in each table."""
    with contextlib.closing(airflow.connect()) as connection, connection, connection.cursor() as cursor:
        cursor.execute(LEFT, {"n": number})


def test_so_many_rows_of_each_kind_go_at_a_time(airflow):
    leave(airflow, NUMBER)
    begun = time.perf_counter()
    assert airflow.one("SELECT kit.guards_tidy()") is True, "more is left"
    print(f"{MOST} rows of {len(TABLES)} tables: {time.perf_counter() - begun:.2f} s")
    assert left(airflow) == dict.fromkeys(TABLES, NUMBER - MOST)
    assert [airflow.one("SELECT kit.guards_tidy()") for _ in range(2)] == [True, False]
    assert left(airflow) == dict.fromkeys(TABLES, 0)


def test_the_controller_goes_on_with_what_is_left_in_its_next_round(airflow):
    leave(airflow, NUMBER)
    airflow.guards(limit())
    guarding = Guarding(None, lambda *_, **__: None)
    with contextlib.closing(airflow.connect("kit")) as metadata:
        for now in (0.0, 2.0, 4.0):
            guarding.look(Seen(metadata), lambda: database.transaction(metadata), now)
        assert sum(left(airflow).values()) == 0
        leave(airflow, 1)
        guarding.look(Seen(metadata), lambda: database.transaction(metadata), 6.0)
        assert left(airflow)["admitted"] == 1, "once a minute where nothing is left"
    airflow.query("DELETE FROM kit.guard_fault")


def test_a_guard_of_a_dag_goes_with_the_last_task_that_names_it_among_very_many(airflow):
    airflow.query("INSERT INTO serialized_dag (dag_id, data) VALUES ('d', '{}')")
    airflow.query(GUARDS, 2001)
    airflow.query(NAMED, 10_000)
    begun = time.perf_counter()
    airflow.one("SELECT kit.guards_tidy()")
    spent = time.perf_counter() - begun
    print(f"2001 guards, 10000 tasks that name them: {spent:.2f} s")
    assert airflow.one("SELECT count(*) FROM kit.guard") == 2000
    assert spent < PATIENCE
