"""Runs in: stack tests; what is old goes while tasks run, and nothing that they need."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.stack.harness.stack import Stack
from tests.stack.harness.wait import wait_for

HELD = 280
# Everything of two runs is older than any limit, whatever their state.
AGE = """
UPDATE dag_run SET start_date = start_date - interval '400 days', end_date = end_date - interval '400 days',
    logical_date = logical_date - interval '400 days' WHERE run_id IN %(runs)s;
UPDATE task_instance SET start_date = start_date - interval '400 days' WHERE run_id IN %(runs)s;
UPDATE xcom SET timestamp = timestamp - interval '400 days' WHERE run_id IN %(runs)s;
INSERT INTO session (session_id, expiry) VALUES (%(session)s, now() - interval '9 days');
"""
AGE_RESULTS = "UPDATE celery_taskmeta SET date_done = date_done - interval '9 days'"
AGE_LOGS = """
import os, time
from pathlib import Path
for path in Path(os.environ["AIRFLOW__LOGGING__BASE_LOG_FOLDER"]).rglob("*.log"):
    if any(run in str(path) for run in {runs!r}):
        os.utime(path, (time.time() - 90 * 86400,) * 2)
"""
FACTS = "SELECT facts FROM kit.seen WHERE what = 'housekeeping'"


@pytest.fixture
def limits(stack: Stack) -> Iterator[Any]:
    """The limits file, put back at the end."""
    path = stack.root / "config" / "housekeeping.yaml"
    before = path.read_text()
    yield path
    path.write_text(before)


def facts(stack: Stack) -> dict[str, Any]:
    """What the loop has written down."""
    rows = stack.sql(FACTS, database="airflow")
    return dict(rows[0][0]) if rows else {}


def count(stack: Stack, table: str, run: str) -> int:
    """How many rows a run has in a table."""
    return int(stack.sql(f"SELECT count(*) FROM {table} WHERE run_id = %s", run, database="airflow")[0][0])


def removed(found: dict[str, Any]) -> dict[str, int]:
    """What went, by name."""
    return {row["what"]: row["removed"] for row in found["rows"] if row["removed"]}


@pytest.mark.once
def test_what_is_old_goes_while_a_task_runs_that_looks_as_old(stack: Stack) -> None:
    old, last = (stack.start_dag("slow", {"seconds": 0}) for _ in range(2))
    live = stack.start_dag("slow", {"seconds": HELD})
    assert {stack.wait_run("slow", run) for run in (old, last)} == {"success"}
    running = stack.wait_task("slow", live, "count", ["running"])
    for statement in AGE.split(";")[:-1]:
        stack.sql(statement % {"runs": "('%s', '%s')" % (old, live), "session": "'stack'"}, database="airflow")  # noqa: UP031
    stack.sql(AGE_RESULTS, database="celery")
    assert stack.inside("airflow-triggerer-1", AGE_LOGS.format(runs=(old, live))).returncode == 0

    planned = stack.kit_json("housekeeping", "--dry-run")
    rows = {row["what"]: row["rows"] for row in planned["rows"]}
    assert planned["errors"] == [] and removed(planned) == {}
    assert rows["dag_run"] >= 1 and rows["celery_taskmeta"] >= 2 and rows["log files"] >= 1 and rows["session"] >= 1
    table = stack.kit("housekeeping", "--dry-run").stdout
    assert "would go" in table and "celery_taskmeta" in table and "log files" in table
    assert count(stack, "dag_run", old) == 1

    done = stack.kit_json("housekeeping")
    assert done["errors"] == [] and done["complete"]
    assert removed(done)["session"] >= 1 and removed(done)["celery_taskmeta"] >= 2 and removed(done)["log files"] >= 1
    assert [count(stack, table, old) for table in ("dag_run", "task_instance")] == [0, 0]
    for run in (live, last):
        assert [count(stack, table, run) for table in ("dag_run", "task_instance")] == [1, 1]
    message = stack.sql("SELECT external_executor_id FROM task_instance WHERE run_id = %s", live, database="airflow")[
        0
    ][0]
    assert stack.sql("SELECT 1 FROM celery_taskmeta WHERE task_id = %s", message, database="celery"), (
        "the executor asks for it"
    )

    stack.release(live)
    assert stack.wait_run("slow", live) == "success"
    ended = stack.task("slow", live, "count")
    assert (ended["try_number"], ended["hostname"]) == (1, running["hostname"])
    assert "counted to 0" in stack.task_log("slow", live, "count")


@pytest.mark.once
def test_the_loop_does_the_same_by_itself_and_a_wrong_line_stops_nothing(stack: Stack, limits: Any) -> None:
    limits.write_text("sessions: 2h\n")
    wait_for(
        "the new limits to be in force",
        lambda: asked_again(stack) and facts(stack).get("limits") == {"sessions": "2h"},
        150,
        lambda: facts(stack),
    )
    limits.write_text("sessions: 2h\nruns: soon\n")
    said = "line 2: runs: 'soon' is no age: write 30m, 12h, 90d or never"
    wait_for(
        "the controller to name the line",
        lambda: said in stack.log("airflow-controller", 500),
        90,
        lambda: facts(stack),
    )
    refused = stack.kit("housekeeping", "--dry-run", check=False)
    assert refused.returncode and said in refused.stderr and len(refused.stderr.strip().splitlines()) <= 3

    stack.sql(
        "INSERT INTO session (session_id, expiry) VALUES ('loop', now() - interval '3 hours')", database="airflow"
    )
    asked_again(stack)
    gone = lambda: not stack.sql("SELECT 1 FROM session WHERE session_id = 'loop'", database="airflow")  # noqa: E731
    wait_for("the session to go by the limits of before", gone, 180, lambda: json.dumps(facts(stack))[:2000])
    found = wait_for("the round to end", lambda: (said := facts(stack)) and said["airflow"]["complete"] and said, 120)
    assert found["airflow"]["errors"] == [] and found["airflow"]["totals"]["session"]["rows"] >= 1
    assert found["limits"] == {"sessions": "2h"} and "line 2" in found["problem"]


def asked_again(stack: Stack) -> bool:
    """Let the next round be due."""
    stack.sql(
        "UPDATE kit.seen SET facts = facts || '{\"asked_at\": 0}' WHERE what = 'housekeeping'", database="airflow"
    )
    return True
