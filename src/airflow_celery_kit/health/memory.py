"""Runs in: airflow-controller; whether a task that needs much memory would find it on the workers of its queue."""

import re
from collections.abc import Iterable
from typing import Any, ClassVar

from airflow_celery_kit.core.health import Cause, Finding, State
from airflow_celery_kit.health.check import Check

UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


class Memory(Check):
    """The free memory of each worker of a queue against what a task needs, such as `8g`."""

    needs = ("broker",)
    hangs = State.DEGRADED
    causes: ClassVar = {
        "nowhere": Cause(
            State.UNHEALTHY, "no worker of the queue has it", "let other tasks end, or give these workers more memory"
        ),
        "rare": Cause(State.DEGRADED, "some workers of the queue do not have it", "fewer slots there, or more memory"),
    }

    def __init__(self, name: str, needs: str, queue: str = "default") -> None:
        self.name = name  # type: ignore[misc]
        self.bytes, self.wanted, self.queue = size(needs), needs, queue

    def look(self, broker: Any) -> Iterable[Finding]:
        """Return one finding."""
        workers = {
            name: said["memory"]["free"]
            for name, said in broker.reports().items()
            if self.queue in said["queues"] and "memory" in said
        }
        short = sorted(name for name, free in workers.items() if free < self.bytes)
        most = max(workers.values(), default=0)
        if len(short) == len(workers):
            return [self.ill("nowhere", f"{self.wanted} needed, {most / (1 << 30):.1f} GiB free at most")]
        if short:
            return [self.ill("rare", f"{self.wanted} needed, less is free on {', '.join(short)}")]
        return [self.well(f"{most / (1 << 30):.1f} GiB free at most")]


def size(text: str) -> int:
    """Return a number of bytes such as `8g` or `512m`. Raises ValueError."""
    found = re.fullmatch(r"(\d+)\s*([kmgt]?)(i?b)?", text.strip().lower())
    if not found:
        raise ValueError(f"{text!r} is no size such as 8g or 512m")
    return int(found[1]) * UNITS[found[2]]
