"""Who waits is looked at when its time has come, on a real PostgreSQL: a slot is free, a breaker is to be tried out, a rate allows the next one."""

import time

import pytest

from airflow_celery_kit.scheduler import wake
from tests.contract.guards.conftest import breaker, limit
from tests.contract.guards.test_admission import fails
from tests.contract.servers import wait_for

ON_WHEELS_ALONE = True


@pytest.fixture
def bell(airflow):
    """The scheduler's bell, which has heard everything."""
    made = wake.Bell(airflow.connect)
    made.wait(0)
    yield made
    made.connection.close()


def rings(bell, within=10.0):
    """The runs that ring while the scheduler sleeps, at most for so long."""
    heard, until = set(), time.monotonic() + within
    while not heard and (left := until - time.monotonic()) > 0:
        bell.wait(min(1.0, left))
        heard |= bell.rung() or set()
    return heard


def hush(bell):
    """Hear whatever rang so far."""
    bell.wait(0)
    bell.rung()


def test_a_slot_that_is_given_back_rings_for_the_run_that_waits(airflow, bell):
    airflow.guards(limit(slots=1))
    (first,), (second,) = airflow.tasks(1), airflow.tasks(1, run="r2")
    airflow.schedule([first])
    airflow.schedule([second])
    hush(bell)
    airflow.becomes("success", first)
    heard = set()
    wait_for("both runs", lambda: heard.update(rings(bell, 0.2)) or heard == {"sales\nr1", "sales\nr2"}, 5)


def test_a_breaker_that_is_to_be_tried_out_rings_once(airflow, bell):
    airflow.guards(breaker())
    ids = airflow.tasks(3)
    airflow.schedule(ids)
    fails(airflow, ids)
    airflow.schedule(airflow.tasks(1, run="r2"))
    hush(bell)
    begun = time.monotonic()
    airflow.query("UPDATE kit.breaker SET until = clock_timestamp() + interval '1 s'")
    assert rings(bell) == {"sales\nr2"} and time.monotonic() - begun > 0.9
    assert rings(bell, 0.5) == set(), "a look that does not come is not asked for again and again"


def test_a_rate_that_allows_the_next_one_rings(airflow, bell):
    airflow.guards(limit(rate=3, period=300, burst=1))
    ids = airflow.tasks(2)
    assert airflow.schedule(ids) == 1
    airflow.becomes("running", *[id for id, state in zip(ids, airflow.states(ids), strict=True) if state])
    hush(bell)
    assert airflow.schedule(ids) == 0
    assert rings(bell, 0.3) == set()
    airflow.later(99.5)
    assert rings(bell) == {"sales\nr1"} and airflow.schedule(ids) == 1


def test_a_start_that_has_come_rings(airflow, bell):
    airflow.guards(limit(start_conf="at"))
    airflow.query(
        "INSERT INTO dag_run (dag_id, run_id, state, conf) SELECT 'sales', 'r1', 'running', json_build_object('at', now() + interval '1 min')"
    )
    ids = airflow.tasks(1)
    hush(bell)
    assert airflow.schedule(ids) == 0
    assert rings(bell, 0.3) == set()
    airflow.query("UPDATE dag_run SET conf = json_build_object('at', now() - interval '1 s')")
    airflow.later(59.5)
    assert rings(bell) == {"sales\nr1"} and airflow.schedule(ids) == 1
