"""Runs in: airflow-controller; the hops of an attempt as spans of its trace (https://www.w3.org/TR/trace-context). Pure.

Airflow gives each task instance a trace and a span of its own when tracing is on, and the spans of the task's code are below that one. So
are these: what happened before the code began, and that it ran, also where it was killed and could not say so itself.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from airflow_celery_kit.core.journal.hops import HOPS

TRACEPARENT = re.compile(r"00-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})")
SAMPLED = 1
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
# The names that Airflow gives these in its own spans, then ours.
ATTRIBUTES = {
    "airflow.dag_id": "dag_id",
    "airflow.dag_run.run_id": "run_id",
    "airflow.task_id": "task_id",
    "airflow.task_instance.map_index": "map_index",
    "airflow.task_instance.try_number": "attempt",
    "airflow.task_instance.id": "id",
    "kit.queue": "queue",
    "kit.pool": "pool",
    "kit.priority": "priority",
    "kit.worker": "worker",
    "kit.message": "message",
    "kit.status": "status",
}
FAILED = ("FAILURE", "TIMEOUT", "RETRY")


@dataclass(frozen=True)
class Parent:
    """The span that a task instance has from Airflow."""

    trace: int
    span: int


@dataclass(frozen=True)
class Span:
    """One hop. Times are in nanoseconds since 1970; `failed` says that what it shows went wrong."""

    name: str
    trace: int
    id: int
    parent: int
    begun: int
    ended: int
    failed: bool
    attributes: Mapping[str, Any]


def parent_of(carrier: Any) -> Parent | None:
    """Return the span that a carrier names, None where it names none, or one that is not to be recorded."""
    # Airflow may keep it in an envelope of its own.
    known = carrier.get("__var", carrier) if isinstance(carrier, Mapping) else {}
    found = TRACEPARENT.fullmatch(str(known.get("traceparent")))
    if not found or not int(found["flags"], 16) & SAMPLED or not int(found["trace"], 16):
        return None
    return Parent(int(found["trace"], 16), int(found["span"], 16))


def spans(task: Mapping[str, Any], parent: Parent) -> list[Span]:
    """Return a span for each hop of a record of `journal.task`; told again they have the same ids.

    A worker may say that it has a message before the scheduler says that it sent it: each hop begins where the one before ended.
    """
    known = {name: task[column] for name, column in ATTRIBUTES.items() if task.get(column) is not None}
    found, before = [], nanoseconds(task["created_at"])
    for until, what in HOPS:
        if task[until] is None or before is None:
            continue
        now = max(before, nanoseconds(task[until]))
        failed = until == "completed_at" and task["status"] in FAILED
        id = int.from_bytes(sha256(f"{task['id']}/{until}".encode()).digest()[:8]) or 1
        found.append(Span(what, parent.trace, id, parent.span, before, now, failed, known | {"kit.hop": until}))
        before = now
    return found


def nanoseconds(at: str) -> int:
    """Return a time of JSON, exact to the microsecond."""
    return (datetime.fromisoformat(at) - EPOCH) // timedelta(microseconds=1) * 1000
