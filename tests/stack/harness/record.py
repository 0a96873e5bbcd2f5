"""Runs in: stack tests; compares what the journal says with what Airflow says and with what tasks left behind."""

from collections.abc import Iterable
from typing import Any

from tests.stack.harness.load import Load
from tests.stack.harness.stack import Stack
from tests.stack.harness.wait import wait_for

BELIEVED = "SELECT id::text, coalesce(state, 'asked') FROM task_instance WHERE dag_id LIKE %s AND run_id LIKE %s"
KNOWN = "SELECT id::text, state FROM journal.task WHERE replaced_by IS NULL AND dag_id LIKE %s AND run_id LIKE %s"
TAKEN = "SELECT map_index, attempt FROM journal.event WHERE run_id = %s AND kind = 'received' AND source = 'worker'"
# What a task instance was before it was asked for, and after its state was taken away, are one to Airflow.
NOTHING = ("asked", "cleared")
SECONDS = 30


def differing(stack: Stack, dag: str = "%", run: str = "%") -> list[tuple[str, Any, Any]]:
    """Return the task instances of whose state Airflow and the journal say different things, with both words."""
    believed = dict(stack.sql(BELIEVED, dag, run, database="airflow"))
    known = dict(stack.sql(KNOWN, dag, run, database="kit"))
    same = lambda one, other: one == other or {one, other} <= set(NOTHING)  # noqa: E731
    return [(id, state, known.get(id)) for id, state in believed.items() if not same(state, known.get(id))]


def wait_same(stack: Stack, dag: str = "%", run: str = "%") -> None:
    """Wait until the journal says of every task instance what Airflow says, and nothing waits to be carried there."""
    look = lambda: differing(stack, dag, run)[:5]  # noqa: E731
    wait_for("the journal to say what Airflow says", lambda: not look(), SECONDS, look)
    waiting = lambda: stack.sql("SELECT count(*) FROM kit.change", database="airflow")[0][0]  # noqa: E731
    wait_for("an empty outbox", lambda: waiting() == 0, SECONDS, waiting)


def untold(loads: Iterable[Load]) -> list[tuple[str, int, int]]:
    """Return run, index and try of the tasks that left a receipt of their start, and of which no worker said that it took them."""
    missing = []
    for load in loads:
        told = set(load.stack.sql(TAKEN, load.run_id, database="kit"))
        started = {(one["index"], one["attempt"]) for one in load.receipts("start")}
        missing += [(load.run_id, *one) for one in sorted(started - told)]
    return missing
