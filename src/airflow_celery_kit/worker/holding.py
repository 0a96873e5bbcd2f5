"""Runs in: Celery workers; keeps a slot a moment for what follows the task that just ended, where something less urgent waits.

The scheduler needs about a tenth of a second to send a successor. A slot that took what was there would run first tasks of
other workflows in between, and none would come to its end. For SHARE of the ended task's time, at most HOLD_SECONDS, such a
slot takes only what is more urgent than the task was; what ends a workflow keeps nothing. Where nothing more urgent came in time
twice, as where many tasks have one successor, tasks of that Dag and step keep nothing, all but each PROBE-th.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from celery import bootsteps
from kombu.transport import redis
from kombu.utils.functional import LRUCache

from airflow_celery_kit import patching
from airflow_celery_kit.core.priorities import LAST
from airflow_celery_kit.worker import slots

SHARE = 0.125
HOLD_SECONDS = 0.25
# The server looks for reads whose time is over so often (`hz` in config/valkey.conf); it cannot keep a slot for less.
LEAST_SECONDS = 0.02
# A rest that would be rounded down to nothing means for ever.
MOMENT = 0.002
# How often a slot may be kept in vain before it is kept no more, when it is tried again, and how many Dags and steps are remembered.
VAIN, PROBE, REMEMBERED = 2, 10, 1000
# With these a successor is more urgent than the task before it.
POLICIES = ("finish-first", "aging")
WRITTEN_AGAINST = {"_brpop_start": "06723d707ddf"}


@dataclass
class Kept:
    """A slot that is kept: until when on a steady clock, after a task of which step and kind, whether anything was turned down for it."""

    until: float
    step: int
    kind: str
    binding: bool = False


class Experience:
    """Whether slots that are kept after a kind of task are kept in vain; good ones count for three bad ones."""

    def __init__(self) -> None:
        self.score = LRUCache(limit=REMEMBERED)

    def worth(self, kind: str) -> bool:
        """Return whether to keep a slot after this task; called once for each."""
        score = self.score.get(kind, 0)
        if score > -VAIN:
            return True
        self.score[kind] = score - 1
        return score % PROBE == 0

    def came(self, kind: str) -> None:
        """Something more urgent came in time."""
        self.score[kind] = VAIN

    def in_vain(self, kind: str) -> None:
        """Nothing came in time."""
        self.score[kind] = self.score.get(kind, 0) - 1


@dataclass
class Holds:
    """The slots that are kept now. `clock` is steady and in seconds."""

    clock: Callable[[], float] = time.monotonic
    kept: list[Kept] = field(default_factory=list)
    experience: Experience = field(default_factory=Experience)

    def keep(self, step: int, ran: float, kind: str) -> None:
        """Keep a slot after a task of this step that ran so many seconds; `kind` is what tasks alike have in common."""
        now = self.clock()
        self._drop(now)
        seconds = min(HOLD_SECONDS, SHARE * ran)
        if step > LAST and seconds >= LEAST_SECONDS and self.experience.worth(kind):
            self.kept.append(Kept(now + seconds, step, kind))

    def took(self, step: int) -> None:
        """A message of this step was taken; where a slot was kept for such, it is no longer."""
        if fitting := [one for one in self.kept if one.binding and one.step > step]:
            first = min(fitting, key=lambda one: one.until)
            self.kept.remove(first)
            self.experience.came(first.kind)

    def limit(self, free: int) -> tuple[int, float] | None:
        """Return how many steps may be taken from now, and for how many seconds; None when any of the `free` slots takes all."""
        now = self.clock()
        self._drop(now)
        self.kept = sorted(self.kept, key=lambda one: one.until)[-free:] if free else []
        if len(self.kept) < free or not self.kept:
            return None
        for one in self.kept:
            one.binding = True
        return max(one.step for one in self.kept), self.kept[0].until - now

    def _drop(self, now: float) -> None:
        for one in self.kept:
            if one.until <= now + MOMENT and one.binding:
                self.experience.in_vain(one.kind)
        self.kept = [one for one in self.kept if one.until > now + MOMENT]


HOLDS = Holds()


class Patience(bootsteps.StartStopStep):
    """A step of the worker's consumer: has its channel ask for the urgent lists alone while all free slots are kept."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """Change the channel of this connection."""
        channel = consumer.task_consumer.channel
        ask, steps = channel._brpop_start, channel.priority_steps

        def start(timeout: float | None = None) -> Any:
            limit = HOLDS.limit(slots.free(consumer))
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
