"""Runs in: airflow-apiserver and the command line; how long each hop of an attempt took. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

# A hop goes from one time to the next one that is known. What comes first in a record is `created_at`.
HOPS = (
    ("due_at", "until it was due"),
    ("queued_at", "waiting in Airflow"),
    ("published_at", "on its way to the broker"),
    ("received_at", "waiting in the broker"),
    ("started_at", "starting"),
    ("completed_at", "running"),
)
STARTS, ENDS = "started_at", "completed_at"


def hops(task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each hop of a record of `journal.task` with its seconds; times that are not known are passed over.

    What ended before it started did not run: it ended in the hop that it was in. Clocks of several machines may differ by more than a
    hop takes: less than nothing is nothing.
    """
    found, before = [], _time(task["created_at"])
    for name, what in HOPS:
        if (now := _time(task[name])) is not None and before is not None:
            seconds = round(max(0.0, (now - before).total_seconds()), 3)
            found.append(
                {"hop": what if name != ENDS or task[STARTS] else _unfinished(task), "until": name, "seconds": seconds}
            )
            before = now
    return found


def _unfinished(task: Mapping[str, Any]) -> str:
    """Return the first hop after the last time that is known, of what never started."""
    known = [number for number, (name, _) in enumerate(HOPS) if name != ENDS and task[name] is not None]
    return HOPS[known[-1] + 1 if known else 0][1]


def _time(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else value
