"""Processes of an older version meet newer tables while a deployment is under way: what they send still works (pre-deploy migrations)."""

import time

import pytest

from tests.contract.journal import version_0001 as old

ON_WHEELS_ALONE = True
DAY = 86400.0
NAMES = {"dag_id": "sales", "run_id": "r1", "task_id": "load", "map_index": -1, "attempt": 1}
# What a record of the first version has, as its columns were.
TASK = {
    *NAMES, "id", "message", "queue", "pool", "priority", "operator", "worker", "state", "created_at", "due_at", "queued_at", "published_at",
    "received_at", "started_at", "completed_at", "lost_at", "changed_at", "timed_out", "cancelled", "no_data", "instead_of", "replaced_by",
    "progress", "progress_at", "input", "result", "error", "trace", "events", "impossible", "status",
}  # fmt: skip
WORKFLOW = {
    "dag_id", "run_id", "state", "type", "asked_by", "user_name", "version", "conf", "logical_date", "created_at", "started_at",
    "completed_at", "changed_at", "paused_at", "resumed_at", "paused",
}  # fmt: skip


def of_run(event):
    """What is said of a task, as it is said of its run."""
    return event | {"task": None, "task_id": None, "map_index": None, "attempt": None}


@pytest.fixture
def written(journal, life):
    """One attempt that was lost, and its run, as the first version writes them."""
    one = life()
    begun = of_run(
        one.says("airflow", "run_running", type="manual", asked_by="rest_api", user="anna", conf={"rows": 3})
    )
    asked = one.airflow("asked", "scheduled", "queued")
    told = [
        one.says("worker", "received"),
        one.says("code", "progress", done=3),
        one.says("worker", "lost", error="gone"),
    ]
    ended = [*one.airflow("running", "failed"), of_run(one.says("operator", "run_paused"))]
    journal.write_0001(begun, *asked)
    journal.write_0001(*told, as_role="journal_writer")
    journal.write_0001(*ended)
    journal.write_0001(*asked)
    return one, [begun, *asked, *told, *ended]


def test_what_version_0001_writes_is_kept_once_as_it_was(journal, written):
    _, events = written
    columns = "id::text, extract(epoch FROM at)::float8, kind, source, task::text, run_id, task_id, seq, facts"
    names = ("id", "at", "kind", "source", "task", "run_id", "task_id", "seq", "facts")
    found = [
        dict(zip(names, row, strict=True)) for row in journal.query(f"SELECT {columns} FROM journal.event ORDER BY at")
    ]
    assert found == [
        {name: event.get(name) for name in names} | {"at": pytest.approx(event["at"], abs=1e-3)} for event in events
    ]


def test_what_version_0001_reads_of_a_task_is_what_was_said(journal, written):
    one, events = written
    ((task,),) = journal.query(old.TASK_0001, one.id, role="journal_reader")
    said = {
        "id": one.id,
        "status": "FAILURE",
        "state": "failed",
        "queue": "default",
        "priority": 256,
        "operator": "@task",
        "error": "gone",
    }
    assert task.keys() >= TASK and task | NAMES | said | {"events": 8, "impossible": 0} == task
    assert (
        task["progress"] == {"done": 3} and task["lost_at"] > task["received_at"] > task["queued_at"] > task["due_at"]
    )
    ((listed,),) = journal.query(old.LIST_0001, role="journal_reader")
    assert listed == {name: value for name, value in task.items() if name not in ("input", "trace")}
    found = [event for (event,) in journal.query(old.EVENTS_0001, one.id, role="journal_reader")]
    of_task = [event for event in events if event["task"]]
    assert [(event["kind"], event["facts"]) for event in found] == [
        (event["kind"], event["facts"]) for event in of_task
    ]


def test_what_version_0001_reads_of_a_run_is_what_was_said(journal, written):
    ((run,),) = journal.query(old.WORKFLOWS_0001, role="journal_reader")
    said = {
        "dag_id": "sales",
        "run_id": "r1",
        "state": "running",
        "type": "manual",
        "asked_by": "rest_api",
        "user_name": "anna",
    }
    assert run.keys() >= WORKFLOW and run | said | {"paused": True} == run and run["conf"] == {"rows": 3}
    assert journal.query(old.COUNTS_0001, role="journal_reader") == [("sales", "r1", "FAILURE", 1)]


def test_the_controller_of_version_0001_makes_the_partition_that_is_missing(journal):
    days = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'journal.event'::regclass ORDER BY 1"
    before = journal.query(days)
    assert journal.query(old.MAKE_0001, 7, role="kit") == [(0,)]
    # The one before `event_other` is the last day's.
    journal.query(f"DROP TABLE {before[-2][0]}")
    assert journal.query(old.MAKE_0001, 7, role="kit") == [(1,)]
    assert journal.query(days) == before


def test_the_controller_of_version_0001_removes_what_is_old_and_nothing_else(journal, life):
    fresh, past = life(at=time.time()), life(at=time.time() - 100 * DAY)
    for one in (fresh, past):
        journal.write_0001(*one.airflow("asked", "success"))
    counted = {"events": 2, "tasks": 1, "workflows": 0, "partitions": []}
    ((found,),) = journal.query(old.PRUNE_0001, 90, True, role="kit")
    assert found | counted == found
    ((found,),) = journal.query(old.PRUNE_0001, 90, False, role="kit")
    assert found | counted | {"events": None} == found
    assert journal.query("SELECT id::text FROM journal.task") == [(fresh.id,)]
    assert journal.query("SELECT DISTINCT task::text FROM journal.event") == [(fresh.id,)]
