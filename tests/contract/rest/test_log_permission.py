"""What a task's code said as it failed stands in its log: who may read tasks and not their logs does not get it from the record."""

from datetime import datetime

import pytest

from airflow_celery_kit.core.journal.events import Event, Kind, Source, Subject
from airflow_celery_kit.journal.sink import Sink
from tests.contract.rest.conftest import WORKER

SECRET, TRACE = "no row for hunter2", 'Traceback\n  File "sales.py", line 3\nValueError: no row for hunter2'
OURS = "its process was killed by SIGKILL"
TASKS_ONLY = ("DAGs", "DAG Runs", "Task Instances")


@pytest.fixture(scope="module")
def failed(server):
    """Two attempts: one failed with an error of its code's, the other one was killed."""
    run = server.start()
    tasks = server.kit("/tasks", params={"run_id": run}).json()["tasks"]
    said = (
        (tasks[0], Kind.ERROR, Source.CODE, {"error": f"ValueError: {SECRET}", "trace": TRACE}),
        (tasks[0], Kind.TRIED_AGAIN, Source.CODE, {"number": 1, "because": f"ValueError: {SECRET}"}),
        (tasks[0], Kind.LEFT_OUT, Source.CODE, {"part": "the picture", "because": f"ValueError: {SECRET}"}),
        (tasks[0], Kind.BUSINESS_RESULT, Source.CODE, {"error": 3}),
        (tasks[1], Kind.LOST, Source.WORKER, {"error": OURS}),
    )
    lines = []
    for task, kind, source, facts in said:
        subject = Subject(task=task["id"], dag_id="sales", run_id=run, task_id=task["task_id"])
        at = datetime.fromisoformat(task["changed_at"]).timestamp() + 1
        lines.append(Event(kind, source, at, subject, WORKER, facts).line())
    sink = Sink(server.stack.address("journal_writer", "kit"))
    sink.write(lines, lambda refused: pytest.fail(str(refused)))
    sink.drop()
    return run, tasks[0]["id"], tasks[1]["id"]


def reader(server, name, *resources):
    """A user whose one role may read these and edit tasks."""
    actions = [("can_read", one) for one in resources] + [("can_edit", one) for one in TASKS_ONLY]
    body = {"name": name, "actions": [{"action": {"name": a}, "resource": {"name": r}} for a, r in actions]}
    server.api.post("/auth/fab/v1/roles", json=body).raise_for_status()
    return server.user(name, name)


@pytest.fixture(scope="module")
def without(server):
    """Who may read tasks and not their logs."""
    return reader(server, "counts", *TASKS_ONLY)


@pytest.fixture(scope="module")
def reads(server):
    """Who may read both."""
    return reader(server, "reads", *TASKS_ONLY, "Task Logs")


def asked(who, path, **parameters):
    """What a user is told."""
    return who.get(f"/kit/v1{path}", params=parameters).raise_for_status()


def everywhere(who, run, id):
    """Each answer in which an attempt's error could stand."""
    return [asked(who, f"/tasks/{id}"), asked(who, f"/tasks/{id}/events"), asked(who, "/tasks", run_id=run)]


def test_who_may_not_read_logs_sees_neither_trace_nor_message(failed, without):
    run, id, _ = failed
    for answer in everywhere(without, run, id):
        assert "hunter2" not in answer.text and "sales.py" not in answer.text, answer.text
        assert "ValueError: what it says stands in the task's log" in answer.text and "read Task Logs" in answer.text
    record = asked(without, f"/tasks/{id}").json()
    assert record["trace"] is None and record["status"] and record["hops"] is not None
    facts = {one["kind"]: one["facts"] for one in asked(without, f"/tasks/{id}/events").json()["events"]}
    assert set(facts["error"]) == {"error"} and facts["business_result"] == {"error": 3}
    assert facts["left_out"]["part"] == "the picture" and facts["left_out"]["because"].startswith(
        "ValueError: what it says"
    )


def test_who_may_read_logs_sees_both(failed, reads):
    run, id, _ = failed
    record, events, page = everywhere(reads, run, id)
    assert (record.json()["trace"], record.json()["error"]) == (TRACE, f"ValueError: {SECRET}")
    assert TRACE in [one["facts"].get("trace") for one in events.json()["events"]]
    assert f"ValueError: {SECRET}" in [one["error"] for one in page.json()["tasks"]]
    assert all("traced" not in one for one in page.json()["tasks"])


def test_a_sentence_of_the_kit_s_own_is_for_whoever_may_read_tasks(failed, without):
    run, _, id = failed
    assert [OURS in answer.text for answer in everywhere(without, run, id)] == [True] * 3


def test_an_error_cannot_be_guessed_by_looking_for_it(failed, without, reads):
    run, id, _ = failed
    found = lambda who: [one["id"] for one in asked(who, "/tasks", run_id=run, error="hunter2").json()["tasks"]]  # noqa: E731
    assert (found(reads), found(without)) == ([id], [])
    # An attempt that is open is one that can be cancelled.
    body = {"run_id": run, "error": "hunter2"}
    counted = lambda who: who.post("/kit/v1/tasks/cancel", json=body).raise_for_status().json()["count"]  # noqa: E731
    assert (counted(reads), counted(without)) == (1, 0)


def test_an_etag_is_that_of_what_the_user_sees(failed, without, reads):
    _, id, _ = failed
    tags = [asked(who, f"/tasks/{id}").headers["ETag"] for who in (without, reads)]
    assert tags[0] != tags[1]
    refused = without.post(f"/kit/v1/tasks/{id}/cancel", headers={"If-Match": tags[1]})
    assert refused.status_code == 412
    assert without.post(f"/kit/v1/tasks/{id}/cancel", headers={"If-Match": tags[0]}).status_code == 200
