"""Runs in: airflow-controller; how much waits for each queue, in Airflow and in each priority step of the broker, how long, for how many slots.

What is returned is plain JSON: it is stored as it is, and the REST API gives it out.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from airflow_celery_kit.controller.broker import Broker, is_canary, list_of
from airflow_celery_kit.controller.waiting import Due
from airflow_celery_kit.worker.broker import CANARY, PRIORITY_STEPS, SENT_AT

Facts = dict[str, Any]
# Within a step messages stand by weight, not by age. Of more than twice as many the first and the last of them are read.
READ_AT_AN_END = 1000
NOTHING_DUE = Due(0, None)


def look(broker: Broker, now: float, due: Mapping[str, Due]) -> Facts:
    """Return every queue as `queues`, live workers as `workers`, and as `delivered` how many messages they have taken and not acknowledged.

    `now` is the wall clock in seconds since 1970, `due` what Airflow has not sent yet, by queue. A queue is there when tasks were ever
    sent to it, a live worker serves it, or something is due for it. Raises valkey.ValkeyError when the broker is away.
    """
    reports = broker.reports()
    workers = reports.values()
    names = sorted(broker.queues() | due.keys())
    with broker.client.pipeline(transaction=False) as pipeline:
        for key in (list_of(name, step) for name in names for step in PRIORITY_STEPS):
            pipeline.llen(key)
        *lengths, delivered = pipeline.hlen("unacked").execute()
    each = len(PRIORITY_STEPS)
    queues = [
        queue_facts(
            name, steps_of(broker, name, lengths[at * each : (at + 1) * each], now), slots_of(name, workers), due.get(name, NOTHING_DUE)
        )
        for at, name in enumerate(names)
    ]  # fmt: skip
    return {
        "queues": queues,
        "delivered": delivered,
        "workers": [worker_facts(name, said) for name, said in sorted(reports.items())],
    }


def worker_facts(name: str, said: Mapping[str, Any]) -> Facts:
    """Return one live worker: how many messages it holds, of how many slots, for which queues, where, since when, whether it takes none."""
    known = {"held": len(said["held"]), "slots": said.get("slots"), "queues": said.get("queues", [])}
    more = {
        "drained": said.get("drained", False),
        "busy": said.get("busy"),
        "memory_bytes": said.get("memory_bytes"),
        "host": said.get("host"),
        "since": said.get("since"),
    }
    return {"name": name, **known, **more}


def queue_facts(name: str, steps: list[Facts], slots: int | None, due: Due) -> Facts:
    """Return one queue. `oldest_seconds` is None where nothing waits in the broker, or no message says when it was sent."""
    return {
        "queue": name,
        "scheduled": due.tasks,
        "scheduled_oldest_seconds": due.oldest_seconds,
        "waiting": sum(one["waiting"] for one in steps),
        "oldest_seconds": longest(one["oldest_seconds"] for one in steps),
        "slots": slots,
        "steps": steps,
    }


def steps_of(broker: Broker, name: str, lengths: Collection[int], now: float) -> list[Facts]:
    """Return the priority steps of a queue in which messages wait."""
    found = [
        step_facts(step, waiting, messages(broker, list_of(name, step), waiting), now)
        for step, waiting in zip(PRIORITY_STEPS, lengths, strict=True)
        if waiting
    ]
    return [one for one in found if one["waiting"]]


def step_facts(step: int, waiting: int, found: Collection[bytes], now: float) -> Facts:
    """Return one priority step; `found` are its messages, or enough of them. What only measures the way does not count."""
    tasks = [one for one in found if CANARY.encode() not in one or not is_canary(one)]
    return {
        "step": step,
        "waiting": waiting - (len(found) - len(tasks)),
        "oldest_seconds": longest(age(one, now) for one in tasks),
    }


def messages(broker: Broker, key: str, length: int) -> list[bytes]:
    """Return the messages of a list: all of them, or those at its ends."""
    if length <= 2 * READ_AT_AN_END:
        return list(broker.client.lrange(key, 0, -1))
    return list(broker.client.lrange(key, 0, READ_AT_AN_END - 1)) + list(broker.client.lrange(key, -READ_AT_AN_END, -1))


def longest(ages: Iterable[float | None]) -> float | None:
    """Return the longest of those that are known, None where none is."""
    return max((one for one in ages if one is not None), default=None)


def age(message: bytes, now: float) -> float | None:
    """Return for how many seconds a message waits; None when it does not say when it was sent."""
    try:
        sent = float(json.loads(message)["headers"][SENT_AT])
    except (ValueError, KeyError, TypeError):
        return None
    # The clock of the sender's machine may be ahead.
    return round(max(now - sent, 0.0), 3)


def slots_of(name: str, workers: Collection[Mapping[str, Any]]) -> int | None:
    """Return how many slots live workers have for a queue, but those that take no task; None when one of them does not say for which it is."""
    if any("queues" not in worker or "slots" not in worker for worker in workers):
        return None
    return sum(int(worker["slots"]) for worker in workers if name in worker["queues"] and not worker.get("drained"))
