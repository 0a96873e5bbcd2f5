"""What a person marks in Airflow, on a real api-server: it says nothing of the service that the task needs."""

import json

import pytest

from airflow_celery_kit.core.guards.file import parse

ONE = "breakers: {crm: {failures: 1, when: {dag: sales}}}"
BECOMES = "UPDATE task_instance SET state = %s WHERE run_id = %s AND task_id = 'extract'"


@pytest.fixture
def running(guards):
    """A run whose task has begun behind a breaker that one failure opens."""
    guards.query("SELECT kit.guards_apply(%s)", json.dumps(parse(ONE).rows()))
    run = guards.start()
    for state in ("scheduled", "queued", "running"):
        guards.query(BECOMES, state, run)
    assert state_of(guards) == "closed" and guards.query("SELECT count(*) FROM kit.admitted") == [(1,)]
    return run


def state_of(guards):
    """The breaker's state."""
    ((state,),) = guards.query("SELECT state FROM kit.breaker")
    return state


@pytest.mark.parametrize(
    ("path", "body"),
    [("/taskInstances/extract", {"new_state": "failed"}), ("", {"state": "failed"})],
    ids=["a task", "a run"],
)
def test_what_a_person_marks_as_failed_opens_no_breaker(guards, running, path, body):
    guards.api.patch(f"/api/v2/dags/sales/dagRuns/{running}{path}", json=body).raise_for_status()
    found = guards.query("SELECT state FROM task_instance WHERE run_id = %s AND task_id = 'extract'", running)
    assert found == [("failed",)] and guards.query("SELECT count(*) FROM kit.admitted") == [(0,)]
    assert state_of(guards) == "closed"


def test_what_nobody_marks_opens_it(guards, running):
    guards.query(BECOMES, "failed", running)
    assert state_of(guards) == "open"
