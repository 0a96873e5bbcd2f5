"""What anybody who may start a run, or write a Dag, can say to guards: it lets nothing in, and changes nothing for others."""

import contextlib
import json

import psycopg2
import pytest

from tests.contract.guards.conftest import breaker, limit

ON_WHEELS_ALONE = True


def run_with(airflow, **conf):
    """One task that is due, of a run that was started with this."""
    airflow.query("INSERT INTO dag_run (dag_id, run_id, conf) VALUES ('sales', 'r1', %s)", json.dumps(conf))
    return airflow.tasks(2)


def test_a_token_of_any_length_is_counted_as_one_and_stops_no_operator(airflow):
    airflow.guards(limit(slots=1, token="conf:customer"), breaker())
    ids = run_with(airflow, customer="".join(chr(33 + (7 * n * n) % 90) for n in range(9000)))
    assert airflow.schedule(ids) == 1
    assert airflow.one("SELECT kit.guards_adopt()") == 0 and airflow.query("SELECT what FROM kit.guard_fault") == []
    assert airflow.one("SELECT kit.guard_suspend('limit crm-db', 'anna', 'x')") == 1


@pytest.mark.parametrize("when", ["x", "tomorrow", "infinity", "2026-99-01", "2026-01-01T25:00Z", "epoch", ""])
def test_a_start_that_is_no_time_is_said_and_lets_nobody_in(airflow, when):
    airflow.guards(limit(start_conf="when"), limit("other", slots=0))
    (id, _) = run_with(airflow, when=when)
    assert airflow.schedule([id]) == 0 and "no time of ISO 8601" in airflow.why(id)
    assert airflow.query("SELECT what FROM kit.guard_fault") == []


@pytest.mark.parametrize(
    "when", ["2026-01-31", "2026-01-31T08:00Z", "2026-01-31 08:00:00.5+02:00", "2026-01-31T08:00:00+0200"]
)
def test_a_start_in_the_past_lets_in(airflow, when):
    airflow.guards(limit(start_conf="when"))
    (id, _) = run_with(airflow, when=when)
    assert airflow.schedule([id]) == 1


@pytest.mark.parametrize(
    "more",
    [
        {"named": False, "dags": "("},
        {"named": False, "slots": 0, "origin": "hand"},
        {"named": False, "slots": 0, "id": "limit crm-db"},
    ],
)
def test_a_guard_that_one_dag_defines_is_for_those_that_name_it(airflow, more):
    airflow.guards(limit(slots=5))
    defined = {
        "kind": "limit",
        "name": "x",
        "id": "limit x",
        "origin": "dag",
        "named": True,
        "rule": {},
        "token": "",
    } | more
    task = {"__var": {"task_id": "load", "executor_config": {"kit": {"limit": ["x"], "define": [defined]}}}}
    airflow.query("SELECT kit.guards_read_dag('theirs', %s)", json.dumps([task]))
    assert airflow.query("SELECT id, origin, named, dags FROM kit.guard WHERE name = 'x'") == [
        ("limit x", "dag", True, None)
    ]
    assert airflow.schedule(airflow.tasks(2)) == 2
    assert airflow.query("SELECT what FROM kit.guard_fault") == []


def test_what_runs_with_its_owner_s_rights_takes_no_table_of_its_caller_s(airflow):
    with contextlib.closing(airflow.connect("kit")) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_proc WHERE pronamespace = 'kit'::regnamespace AND prosecdef AND proconfig IS NULL"
        )
        assert cursor.fetchone() == (0,)
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("CREATE TEMPORARY TABLE task_instance (id uuid)")
