"""Runs in: airflow-controller; how many messages wait in each queue and priority step, how long, and for how many slots.

What is returned is plain JSON: it is stored as it is, and the REST API gives it out.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any

from airflow_celery_kit.controller.broker import Broker, list_of
from airflow_celery_kit.worker.broker import PRIORITY_STEPS, SENT_AT

Facts = dict[str, Any]


def look(broker: Broker, now: float) -> Facts:
    """Return every queue as `queues`, and as `delivered` how many messages workers have taken and not acknowledged.

    `now` is the wall clock in seconds since 1970. A queue is there when tasks were ever sent to it, or a live worker
    serves it. Raises valkey.ValkeyError when the broker is away.
    """
    workers = broker.reports().values()
    names = sorted(broker.queues())
    with broker.client.pipeline(transaction=False) as pipeline:
        for key in (list_of(name, step) for name in names for step in PRIORITY_STEPS):
            pipeline.llen(key).lindex(key, -1)
        *found, delivered = pipeline.hlen("unacked").execute()
    rows = list(zip(found[::2], found[1::2], strict=True))
    each = len(PRIORITY_STEPS)
    queues = [
        queue_facts(name, rows[at * each : (at + 1) * each], slots_of(name, workers), now)
        for at, name in enumerate(names)
    ]
    return {"queues": queues, "delivered": delivered}


def queue_facts(name: str, rows: list[tuple[int, bytes | None]], slots: int | None, now: float) -> Facts:
    """Return one queue; `rows` holds length and oldest message of each priority step, steps without messages are left out.

    `oldest_seconds` is None where nothing waits, or no oldest message says when it was sent.
    """
    steps = [
        {"step": step, "waiting": waiting, "oldest_seconds": age(oldest, now)}
        for step, (waiting, oldest) in zip(PRIORITY_STEPS, rows, strict=True)
        if waiting
    ]
    return {
        "queue": name,
        "waiting": sum(one["waiting"] for one in steps),
        "oldest_seconds": max((one["oldest_seconds"] for one in steps if one["oldest_seconds"] is not None), default=None),
        "slots": slots,
        "steps": steps,
    }  # fmt: skip


def age(message: bytes | None, now: float) -> float | None:
    """Return for how many seconds a message waits; None when it does not say when it was sent."""
    try:
        sent = float(json.loads(message or b"")["headers"][SENT_AT])
    except (ValueError, KeyError, TypeError):
        return None
    # The clock of the sender's machine may be ahead.
    return round(max(now - sent, 0.0), 3)


def slots_of(name: str, workers: Collection[Mapping[str, Any]]) -> int | None:
    """Return how many slots live workers have for a queue; None when one of them does not say for which queues it is."""
    if any("queues" not in worker or "slots" not in worker for worker in workers):
        return None
    return sum(int(worker["slots"]) for worker in workers if name in worker["queues"])
