"""Runs in: task processes, imported by Dags; figures of a task's own trade, for Prometheus.

They are added up here and go to the journal as one event a second at most, by the file that all of a task's words go by; the controller
counts them up. Nothing here fails a task, or waits.
"""

import logging
import os
import time
from threading import Lock
from typing import Any

from airflow_celery_kit.core.journal import events
from airflow_celery_kit.core.user_metrics import BOUNDS, Kind, base, bucket, plain, problem
from airflow_celery_kit.task import context

log = logging.getLogger(__name__)

EVERY_SECONDS = 1.0
# In one event; more go at once.
MOST_SERIES = 100
# Warnings that are told apart; a name that is made anew each time would fill the log.
MOST_WARNINGS = 20

Series = dict[str, Any]


class _Pending:
    """What this process has counted and not said yet, of which attempt, and when it said something last."""

    lock = Lock()
    series: dict[tuple[Any, ...], Series] = {}  # noqa: RUF012
    who: events.Subject | None = None
    said = float("-inf")
    process = 0
    warned: set[str] = set()  # noqa: RUF012


def metric(name: str, value: float = 1, kind: str = "counter", **labels: Any) -> None:
    """Count something of the task's own: `metric("rows", 500, table="orders")` is `kit_user_rows_total{dag_id=...,table="orders"}`.

    `kind` is `counter` (values are added up), `gauge` (the last one counts) or `histogram` (seconds, in the buckets of the other metrics).
    Each combination of labels is a series that is kept: no ids, no times. What cannot be counted is warned of once and left out; outside
    of a running task, and where no journal is kept, nothing happens.
    """
    name = base(name, kind) if isinstance(name, str) else name
    if wrong := problem(name, kind, value, labels):
        return _warn(f"metric {name!r} is not counted: {wrong}")
    with _Pending.lock:
        _begin()
        _add(name, kind, plain(value), {label: str(text) for label, text in labels.items()})
        if len(_Pending.series) >= MOST_SERIES or time.monotonic() - _Pending.said >= EVERY_SECONDS:
            _say()


def flush() -> None:
    """Say what was counted and not said yet; Airflow calls it at a task's end (worker/listener.py)."""
    with _Pending.lock:
        if _Pending.process == os.getpid() and _Pending.series:
            _say()


def _begin() -> None:
    """Remember whose figures these are; what the parent of a forked process had counted is the parent's to say."""
    if _Pending.process != os.getpid():
        _Pending.process, _Pending.said, _Pending.who = os.getpid(), float("-inf"), None
        _Pending.series.clear()
    # At a task's end Airflow does not say any more which one it is.
    _Pending.who = _Pending.who or context.subject()


def _add(name: str, kind: str, value: float, labels: dict[str, str]) -> None:
    one = _Pending.series.setdefault(
        (name, kind, *sorted(labels.items())), {"name": name, "kind": kind, "labels": labels, "value": 0}
    )
    one["value"] = value if kind == Kind.GAUGE else one["value"] + value
    if kind == Kind.HISTOGRAM:
        one.setdefault("buckets", [0] * (len(BOUNDS) + 1))[bucket(value)] += 1


def _say() -> None:
    series = list(_Pending.series.values())
    _Pending.series.clear()
    _Pending.said = time.monotonic()
    context.say(events.Kind.METRIC, {"series": series}, _Pending.who)


def _warn(what: str) -> None:
    if what not in _Pending.warned and len(_Pending.warned) < MOST_WARNINGS:
        _Pending.warned.add(what)
        log.warning("%s", what)
