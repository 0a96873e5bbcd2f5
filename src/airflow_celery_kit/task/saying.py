"""Runs in: task processes, imported by Dags; what a task says of itself: how far it is, what it made, that there was nothing to do.

Each writes a line to a file and waits for nothing. Outside of a running task, and where no journal is kept, nothing happens, so that a
Dag's functions can be tested by themselves.
"""

import time
from collections.abc import Mapping
from typing import Any

from airflow_celery_kit.core.journal.events import Kind
from airflow_celery_kit.task import context
from airflow_celery_kit.task.limits import size_of

# Progress that is said more often is passed over, the last of it aside.
PROGRESS_SECONDS = 0.5


class _Said:
    """When this process said last how far it is."""

    progress = float("-inf")


def progress(done: float, total: float | None = None, note: str = "") -> None:
    """Say that `done` of `total` is done, in any unit, with a few words if you like. Raises ValueError for what cannot be meant."""
    if done < 0 or (total is not None and done > total):
        raise ValueError(f"progress({done}, {total}): done lies between 0 and total")
    now = time.monotonic()
    if done == total or now - _Said.progress >= PROGRESS_SECONDS:
        _Said.progress = now
        context.say(Kind.PROGRESS, {"done": done, "total": total, "note": note[:500]})


def business_result(facts: Mapping[str, Any]) -> None:
    """Keep what the task made, in the words of its own trade: rows read, errors found. Raises ValueError for what is no JSON, or too much."""
    size_of(dict(facts), "business_result")
    context.say(Kind.BUSINESS_RESULT, dict(facts))


def no_data(note: str = "") -> None:
    """Say that there was nothing to do; a task that succeeds then has the status NO_DATA."""
    context.say(Kind.NO_DATA, {"note": note[:500]})
