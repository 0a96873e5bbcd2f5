"""Runs in: airflow-apiserver; what waits for each queue as metrics of Prometheus, made anew for each request."""

from collections.abc import Iterator
from typing import Any

from prometheus_client.core import GaugeMetricFamily

from airflow_celery_kit.api.snapshot import Snapshot
from airflow_celery_kit.worker.broker import PRIORITY_STEPS

# What each one means, and its labels.
GAUGES = {
    "kit_queue_scheduled_tasks": ("Tasks that are due for a queue and wait in Airflow, for a slot of their pool or below a limit.", ("queue",)),
    "kit_queue_scheduled_oldest_seconds": (
        "Seconds that the first of these tasks had waited at the last look; 0 where none waits.", ("queue",)
    ),
    "kit_queue_messages": ("Messages that wait in a queue and priority step; step 0 is taken first.", ("queue", "step")),
    "kit_queue_oldest_seconds": (
        "Seconds that the oldest message of a queue and priority step had waited at the last look; 0 where none waits.",
        ("queue", "step"),
    ),
    "kit_queue_slots": ("Slots of live workers that take tasks of a queue; a worker of several queues counts in each.", ("queue",)),
    "kit_messages_unacknowledged": ("Messages that workers have taken and not acknowledged.", ()),
    "kit_queues_seen_timestamp_seconds": (
        "When the controller looked last, in seconds since 1970; 0 when it never did. The others are as old as this.",
        (),
    ),
}  # fmt: skip


class QueueMetrics:
    """A collector of one request; without a look it has nothing but the time of the last one."""

    def __init__(self, seen: Snapshot | None) -> None:
        self.seen = seen

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return every gauge. What nobody knows, such as the age of a message that does not say when it was sent, is left out."""
        families = {name: GaugeMetricFamily(name, text, labels=labels) for name, (text, labels) in GAUGES.items()}
        for name, labels, value in self._samples():
            families[name].add_metric(labels, value)
        yield from families.values()

    def _samples(self) -> Iterator[tuple[str, tuple[str, ...], float]]:
        yield "kit_queues_seen_timestamp_seconds", (), self.seen.at.timestamp() if self.seen else 0.0
        if self.seen:
            yield "kit_messages_unacknowledged", (), self.seen.facts["delivered"]
            for queue in self.seen.facts["queues"]:
                yield from _of_queue(queue)


def _of_queue(queue: dict[str, Any]) -> Iterator[tuple[str, tuple[str, ...], float]]:
    """Return one queue's samples. Empty steps are 0, and what an older controller does not say: a series that comes and goes spoils sums."""
    yield "kit_queue_scheduled_tasks", (queue["queue"],), queue.get("scheduled", 0)
    yield "kit_queue_scheduled_oldest_seconds", (queue["queue"],), queue.get("scheduled_oldest_seconds") or 0.0
    if queue["slots"] is not None:
        yield "kit_queue_slots", (queue["queue"],), queue["slots"]
    seen = {one["step"]: one for one in queue["steps"]}
    for step in PRIORITY_STEPS:
        one = seen.get(step, {"waiting": 0, "oldest_seconds": 0.0})
        labels = (queue["queue"], str(step))
        yield "kit_queue_messages", labels, one["waiting"]
        if one["oldest_seconds"] is not None:
            yield "kit_queue_oldest_seconds", labels, one["oldest_seconds"]
