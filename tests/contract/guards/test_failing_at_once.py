"""Tasks that fail at an open breaker, because their author says so, on a real PostgreSQL."""

from tests.contract.guards.conftest import breaker, limit
from tests.contract.guards.test_admission import fails

ON_WHEELS_ALONE = True


def test_who_asks_for_it_fails_at_once_with_the_reason_on_record(airflow):
    airflow.guards(breaker(on_open="fail"))
    ids = airflow.tasks(4)
    airflow.schedule(ids[:3])
    fails(airflow, ids[:3])
    assert airflow.schedule(ids[3:]) == 1 and airflow.states(ids[3:]) == ["failed"]
    (reason,) = airflow.query("SELECT facts ->> 'error' FROM kit.change WHERE kind = 'error'")[0]
    assert "breaker crm: open until" in reason


def test_who_asks_for_it_fails_at_once_also_where_a_limit_would_have_it_wait(airflow):
    airflow.guards(breaker(on_open="fail"), limit("db", slots=3))
    ids, late, later = airflow.tasks(6), airflow.tasks(1), airflow.tasks(1)
    airflow.schedule(ids[:3])
    fails(airflow, ids[:3])
    airflow.query("SELECT kit.breaker_reset('breaker crm', '', 'anna', 'x')")
    assert airflow.schedule(ids[3:]) == 3
    airflow.becomes("running", *ids[3:])
    assert airflow.schedule(late) == 0, "no slot is free"
    airflow.query("SELECT kit.breaker_trip('breaker crm', '', 'anna', 'x')")
    assert airflow.schedule(late) == 1 and airflow.states(late) == ["failed"]
    airflow.later(31)
    airflow.becomes("success", ids[3])
    (probe,) = airflow.tasks(1)
    assert airflow.schedule([probe]) == 1 and airflow.breaker()[2] == probe
    assert airflow.schedule(later) == 1 and airflow.states(later) == ["failed"]
