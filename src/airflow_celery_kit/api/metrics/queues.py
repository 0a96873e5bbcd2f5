"""Runs in: airflow-apiserver; what waits for each queue, and for whom, as the controller saw it last."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from airflow_celery_kit.api.metrics.families import GAUGE, Family, Sample, bounded
from airflow_celery_kit.api.snapshot import Snapshot
from airflow_celery_kit.controller.counting import MOST_QUEUES
from airflow_celery_kit.worker.broker import PRIORITY_STEPS

FAMILIES = {
    "kit_queue_scheduled_tasks": Family(
        GAUGE, "Tasks that are due for a queue and wait in Airflow, for a slot of their pool or below a limit.", ("queue",)
    ),
    "kit_queue_scheduled_oldest_seconds": Family(
        GAUGE, "Seconds that the first of these tasks had waited at the last look; 0 where none waits.", ("queue",)
    ),
    "kit_queue_messages": Family(
        GAUGE, "Messages that wait in a queue and priority step; step 0 is taken first.", ("queue", "step")
    ),
    "kit_queue_oldest_seconds": Family(
        GAUGE, "Seconds that the oldest message of a queue and priority step had waited at the last look; 0 where none waits.", ("queue", "step")
    ),
    "kit_queue_slots": Family(
        GAUGE, "Slots of live workers that take tasks of a queue; a worker of several queues counts in each.", ("queue",)
    ),
    "kit_queue_workers": Family(GAUGE, "Live workers that take tasks of a queue; one that was told to take none is left out.", ("queue",)),
    "kit_messages_unacknowledged": Family(GAUGE, "Messages that workers have taken and not acknowledged."),
    "kit_queues_seen_timestamp_seconds": Family(
        GAUGE, "When the controller looked last, in seconds since 1970; 0 when it never did. Queues and workers are as old as this."
    ),
}  # fmt: skip
LONGEST = ("kit_queue_scheduled_oldest_seconds", "kit_queue_oldest_seconds")


def samples(seen: Snapshot | None) -> Iterator[Sample]:
    """Return what a look says. What nobody knows, such as the age of a message that does not say when it was sent, is left out."""
    yield Sample("kit_queues_seen_timestamp_seconds", (), seen.at.timestamp() if seen else 0.0)
    if not seen:
        return
    yield Sample("kit_messages_unacknowledged", (), seen.facts["delivered"])
    serving = Counter(
        queue for one in seen.facts.get("workers", []) if not one.get("drained") for queue in set(one["queues"])
    )
    queues = sorted(seen.facts["queues"], key=lambda one: (_rank(one, serving), one["queue"]))
    yield from bounded(
        chain.from_iterable(_of_queue(one, serving[one["queue"]]) for one in queues), MOST_QUEUES, LONGEST
    )


def _rank(queue: Mapping[str, Any], serving: Mapping[str, int]) -> int:
    """Return what comes first where there are too many: what somebody must do something about, and last what a name alone is left of."""
    if queue["queue"] in serving:
        return 1
    return 0 if queue["steps"] or queue.get("scheduled") else 2


def _of_queue(queue: Mapping[str, Any], workers: int) -> Iterator[Sample]:
    """Return one queue's samples. Empty steps are 0, and what an older controller does not say: a series that comes and goes spoils sums."""
    name = queue["queue"]
    yield Sample("kit_queue_scheduled_tasks", (name,), queue.get("scheduled", 0))
    yield Sample("kit_queue_scheduled_oldest_seconds", (name,), queue.get("scheduled_oldest_seconds") or 0.0)
    if queue["slots"] is not None:
        yield Sample("kit_queue_slots", (name,), queue["slots"])
    yield Sample("kit_queue_workers", (name,), workers)
    steps = {one["step"]: one for one in queue["steps"]}
    for step in PRIORITY_STEPS:
        waiting = steps.get(step, {"waiting": 0, "oldest_seconds": 0.0})
        yield Sample("kit_queue_messages", (name, str(step)), waiting["waiting"])
        if waiting["oldest_seconds"] is not None:
            yield Sample("kit_queue_oldest_seconds", (name, str(step)), waiting["oldest_seconds"])
