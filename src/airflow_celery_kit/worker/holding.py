"""Runs in: Celery workers; keeps a slot a moment for what follows the task that just ended, where something less urgent waits.

The scheduler needs about a tenth of a second to send a successor. A slot that took what was there would run first tasks of
other workflows in between, and none would come to its end. For a twentieth of the ended task's time, at most HOLD_SECONDS, such a
slot takes only what is more urgent than the task was; what ends a workflow keeps nothing. So no more than a twentieth is lost.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from celery import bootsteps
from celery.worker import state
from kombu.transport import redis

from airflow_celery_kit import patching
from airflow_celery_kit.core.priorities import LAST

SHARE = 0.05
HOLD_SECONDS = 0.25
# The server looks for reads whose time is over so often (`hz` in config/valkey.conf); it cannot keep a slot for less.
LEAST_SECONDS = 0.02
# A rest that would be rounded down to nothing means for ever.
MOMENT = 0.002
# With these a successor is more urgent than the task before it.
POLICIES = ("finish-first", "aging")
WRITTEN_AGAINST = {"_brpop_start": "06723d707ddf"}


@dataclass
class Holds:
    """The slots that are kept now. `clock` is steady and in seconds."""

    clock: Callable[[], float] = time.monotonic
    kept: list[tuple[float, int]] = field(default_factory=list)

    def keep(self, step: int, ran: float) -> None:
        """Keep a slot after a task of this step that ran so many seconds."""
        now = self.clock()
        self.kept = [one for one in self.kept if one[0] > now]
        if step > LAST and (seconds := min(HOLD_SECONDS, SHARE * ran)) >= LEAST_SECONDS:
            self.kept.append((now + seconds, step))

    def limit(self, free: int) -> tuple[int, float] | None:
        """Return how many steps may be taken from now, and for how many seconds; None when any of the `free` slots takes all."""
        now = self.clock()
        self.kept = sorted(one for one in self.kept if one[0] > now + MOMENT)[-free:] if free else []
        if len(self.kept) < free or not self.kept:
            return None
        return max(step for _, step in self.kept), self.kept[0][0] - now


HOLDS = Holds()


class Patience(bootsteps.StartStopStep):
    """A step of the worker's consumer: has its channel ask for the urgent lists alone while all free slots are kept."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """Change the channel of this connection."""
        channel = consumer.task_consumer.channel
        ask, steps = channel._brpop_start, channel.priority_steps

        def start(timeout: float | None = None) -> Any:
            limit = HOLDS.limit(consumer.pool.num_processes - len(state.reserved_requests))
            if limit is None:
                return ask(timeout)
            channel.priority_steps = steps[: limit[0]]
            try:
                return ask(limit[1])
            finally:
                channel.priority_steps = steps

        channel._brpop_start = start


def install(app: Any) -> None:
    """Add the step to every worker of a Celery app whose policy sends successors first."""
    chosen = os.environ.get("KIT_PRIORITY_POLICY", "") in POLICIES
    if chosen and patching.fits("keeping slots for successors", redis.Channel, WRITTEN_AGAINST):
        app.steps["consumer"].add(Patience)
