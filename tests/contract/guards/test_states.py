"""Which states of Airflow hold a slot, and which of them can be taken back."""

import pytest

from airflow_celery_kit.guards import install
from tests.contract.guards.conftest import breaker, limit

ON_WHEELS_ALONE = True
ACTIVE = "'scheduled', 'queued', 'running', 'restarting', 'deferred', 'awaiting_input'"


def test_what_holds_a_slot_is_said_once_and_costs_no_call(airflow):
    assert install.statements().count("'awaiting_input'") == 1
    airflow.tasks(2000)
    airflow.query("ANALYZE task_instance")
    plans = [
        airflow.query(f"EXPLAIN (COSTS off) SELECT id FROM task_instance WHERE {condition}")
        for condition in (f"state IN ({ACTIVE})", "kit.guard_active(state)")
    ]
    assert plans[0] == plans[1] and "Index" in str(plans[0])


def test_a_paused_dag_keeps_no_slot_and_no_probe(airflow):
    airflow.query(
        "INSERT INTO dag (dag_id, is_paused) VALUES ('sales', false), ('other', false) ON CONFLICT DO NOTHING"
    )
    airflow.guards(limit(slots=1))
    (kept,), (other,) = airflow.tasks(1), airflow.tasks(1, dag="other")
    assert (airflow.schedule([kept]), airflow.schedule([other])) == (1, 0)
    airflow.query("UPDATE dag SET is_paused = true WHERE dag_id = 'sales'")
    assert airflow.states([kept]) == [None] and airflow.schedule([other]) == 1
    assert airflow.one("SELECT try_number FROM task_instance WHERE id = %s", kept) == 0
    airflow.query("UPDATE dag SET is_paused = false WHERE dag_id = 'sales'")
    assert airflow.schedule([kept]) == 0, "the other one has it now"


def test_who_awaits_an_answer_keeps_its_slot(airflow):
    airflow.guards(limit(slots=1))
    first, second = airflow.tasks(2)
    airflow.schedule([first])
    for state in ("queued", "running", "awaiting_input"):
        airflow.becomes(state, first)
    assert airflow.schedule([second]) == 0
    airflow.becomes("success", first)
    assert airflow.schedule([second]) == 1


@pytest.mark.parametrize("on_open", ["wait", "fail"])
def test_what_comes_back_from_a_deferral_goes_on_though_its_breaker_has_opened(airflow, on_open):
    airflow.guards(breaker(on_open=on_open))
    (id,) = airflow.tasks(1)
    airflow.schedule([id])
    for state in ("queued", "running", "deferred"):
        airflow.becomes(state, id)
    airflow.query("UPDATE task_instance SET next_method = 'execute_complete' WHERE id = %s", id)
    airflow.query("SELECT kit.breaker_trip('breaker crm', '', 'anna', 'x')")
    for state in ("scheduled", "queued", "running"):
        airflow.becomes(state, id)
        assert airflow.states([id]) == [state]
