"""Runs in: the command line; the hop that an attempt is in now, which has no end so far. Pure.

It stands in no record: a record would be another one each time that it is looked at.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow_celery_kit.core.journal.hops import HOPS
from airflow_celery_kit.core.journal.statuses import Status

HOP_AFTER = dict(zip(("created_at", *(name for name, _ in HOPS)), (what for _, what in HOPS), strict=False))
# What an attempt of a status may wait for the end of begins with one of these; the latest of them counts.
BEGINNINGS = {
    Status.PENDING: ("created_at", "due_at"),
    Status.QUEUED: ("queued_at", "published_at"),
    Status.RECEIVED: ("received_at",),
    Status.PROCESSING: ("started_at",),
}


def open_hop(task: Mapping[str, Any], now: datetime) -> tuple[str, float] | None:
    """Return the hop that a record of `journal.task` is in with its seconds so far, None where it has ended or nothing is known of it."""
    if task["status"] not in BEGINNINGS:
        return None
    known = {name: datetime.fromisoformat(str(task[name])) for name in HOP_AFTER if task[name]}
    begun = [(known[name], name) for name in BEGINNINGS[task["status"]] if name in known]
    if not begun:
        return None
    since, name = max(begun)
    # Whoever was sent and waits in Airflow again, for its next look or until its run goes on, waits since then.
    if task["status"] == Status.PENDING and max(known.values()) > since:
        since, name = max(known.values()), "created_at"
    return HOP_AFTER[name], max(0.0, (now - since).total_seconds())
