"""Runs in: airflow-apiserver; live workers, as the controller saw them last. No worker is asked for it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from airflow_celery_kit.api.metrics.families import GAUGE, Family, Sample
from airflow_celery_kit.api.snapshot import Snapshot

LABELS = ("worker",)
FAMILIES = {
    "kit_worker_up": Family(GAUGE, "1 for each live worker; one that is dead, frozen or cut off is not there.", LABELS),
    "kit_worker_slots": Family(GAUGE, "Tasks that a worker runs at a time.", LABELS),
    "kit_worker_held_messages": Family(GAUGE, "Messages in a worker's hands: running, and taken ahead.", LABELS),
    "kit_worker_drained": Family(GAUGE, "1 where a worker was told to take no task, and heeds it.", LABELS),
    "kit_worker_cpu_busy_ratio": Family(GAUGE, "Share of the CPU that a worker may use that is in use, 0 to 1.", LABELS),
    "kit_worker_memory_bytes": Family(
        GAUGE, "Resident memory of a worker and all its processes; what they share counts in each of them.", LABELS
    ),
    "kit_worker_start_time_seconds": Family(GAUGE, "Since when a worker runs, in seconds since 1970.", LABELS),
}  # fmt: skip
# What each is in a worker's facts (controller/queues.py).
FACTS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "kit_worker_up": lambda _: 1,
    "kit_worker_slots": lambda one: one.get("slots"),
    "kit_worker_held_messages": lambda one: one["held"],
    "kit_worker_drained": lambda one: int(one.get("drained", False)),
    "kit_worker_cpu_busy_ratio": lambda one: one.get("busy"),
    "kit_worker_memory_bytes": lambda one: one.get("memory_bytes"),
    "kit_worker_start_time_seconds": lambda one: one.get("since"),
}


def samples(seen: Snapshot | None) -> Iterator[Sample]:
    """Return what a look says of each worker; what an older one does not report is left out."""
    for worker in seen.facts.get("workers", []) if seen else []:
        for name, fact in FACTS.items():
            if (value := fact(worker)) is not None:
                yield Sample(name, (worker["name"],), value)
