"""Runs in: airflow-controller; does what repair must not wait for, in a thread with connections of its own, while this controller leads."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from threading import Thread
from typing import Any

import psycopg2
import valkey

from airflow_celery_kit import instance
from airflow_celery_kit.controller import (
    counting,
    draining,
    housekeeping,
    journal,
    quarantine,
    queues,
    seen,
    tracing,
    waiting,
    withdrawing,
)
from airflow_celery_kit.controller.database import Fence
from airflow_celery_kit.controller.guarding import Guarding
from airflow_celery_kit.controller.lease import Lease
from airflow_celery_kit.controller.ordering import Ordering
from airflow_celery_kit.controller.sight import Connections
from airflow_celery_kit.guards import limits_file
from airflow_celery_kit.journal.teller import is_on

AWAY = (psycopg2.Error, valkey.ValkeyError, OSError)
SELDOM_SECONDS = 60.0
HOUR_SECONDS = 3600.0
# After how many deaths of what runs it a task is set aside.
QUARANTINE = "KIT_QUARANTINE_AFTER"
# A round takes a fraction of a second. Weights and figures are as old as the last one that ended.
SLOW_SECONDS = 20.0

BRIEFLY = "SET LOCAL statement_timeout = '1s'"

# What it returns matters only where it is SKIPPED.
Chore = Callable[[Connections, Fence, float], Any]
SKIPPED = object()
Say = Callable[..., None]


@dataclass
class Beside:
    """Rounds of chores, one at a time; what fails or takes long is said once."""

    chores: Mapping[str, Chore]
    say: Say
    connections: Connections = field(default_factory=Connections)
    failing: dict[str, str] = field(default_factory=dict)
    thread: Thread | None = None
    begun: float = 0.0
    slow: bool = False

    def turn(self, token: int, now: float) -> None:
        """Begin a round under the lease's token, unless the last one is still under way. `now` is steady, in seconds."""
        if self.thread and self.thread.is_alive():
            if not self.slow and now - self.begun > SLOW_SECONDS:
                self.slow = True
                self.say("slow", what=", ".join(self.chores), seconds=round(now - self.begun))
            return
        self.begun, self.slow = now, False
        # A policy that never returns must not keep the controller from leaving.
        self.thread = Thread(target=self._round, args=(token, now), name="beside", daemon=True)
        self.thread.start()

    def wait(self) -> None:
        """Wait until the round that is under way has ended."""
        if self.thread:
            self.thread.join()

    def _round(self, token: int, now: float) -> None:
        holder = instance.name()
        for name, chore in self.chores.items():
            try:
                if chore(self.connections, lambda: self._fence(holder, token), now) is not SKIPPED:
                    self.failing.pop(name, None)
            except (Exception, SystemExit) as problem:
                self._fails(name, problem)

    @contextmanager
    def _fence(self, holder: str, token: int) -> Iterator[Any]:
        """Give a fenced cursor for a moment only: the lease cannot be renewed meanwhile."""
        with Lease(self.connections.metadata, "repair", holder, token).fenced() as cursor:
            cursor.execute(BRIEFLY)
            yield cursor

    def _fails(self, name: str, problem: BaseException) -> None:
        reason = f"{type(problem).__name__}: {str(problem).strip()}"
        if self.failing.get(name) != reason:
            self.say("fails", what=name, reason=reason)
        self.failing[name] = reason
        if isinstance(problem, AWAY):
            self.connections.drop()


def seldom(chore: Chore, every: float = SELDOM_SECONDS) -> Chore:
    """Return a chore that is done once a minute, or once in so many seconds."""
    last = [float("-inf")]

    def now_and_then(connections: Connections, fence: Fence, now: float) -> Any:
        if now - last[0] < every:
            return SKIPPED
        last[0] = now
        return chore(connections, fence, now)

    return now_and_then


def chores(ordering: Ordering | None, say: Say) -> dict[str, Chore]:
    """Return what is done in each round, in this order."""
    found: dict[str, Chore] = {"withdrawing": partial(withdraw, say), "orders": partial(order, say)}
    if ordering:
        found["ordering"] = ordering.look
    found["guards"] = Guarding(limits_file.path_from(), say).look
    found |= {
        "weights": seldom(lambda connections, *_: waiting.forget(connections.metadata)),
        "queues": show,
        "replies": seldom(partial(tidy, say)),
        "old_orders": seldom(partial(forget, say), HOUR_SECONDS),
        "housekeeping": seldom(housekeeping.Housekeeping(say).look, housekeeping.EVERY_SECONDS),
    }
    if journal.kept():
        after = int(os.environ.get(QUARANTINE) or 0) if is_on(os.environ) else 0
        found |= figures(say)
        found["quarantine"] = partial(set_aside, say, after)
        found["journal"] = seldom(partial(look_after_journal, say), HOUR_SECONDS)
    return found


def figures(say: Say) -> dict[str, Chore]:
    """Return what counts up what happened to tasks, and what tells of it where Airflow's services trace."""
    traced = tracing.is_on()
    count = partial(counting.count_up, dags=counting.most_dags(), trace=traced)
    found: dict[str, Chore] = {
        "counts": seldom(lambda connections, *_: count(connections.journal), counting.EVERY_SECONDS)
    }
    if traced:
        look = tracing.Tracing(tracing.exporter, say).look
        found["traces"] = lambda connections, _, now: look(connections.metadata, connections.journal, now)
    return found


def withdraw(say: Say, connections: Connections, fence: Fence, _: float) -> None:
    """Take messages out of the broker whose tasks were cancelled or paused."""
    if found := withdrawing.withdraw(connections.metadata, connections.results, connections.broker, fence):
        say("withdrawn", messages=found)


def set_aside(say: Say, after: int, connections: Connections, fence: Fence, _: float) -> None:
    """Fail tasks that kill what runs them; 0 is never."""
    if after and (found := quarantine.set_aside(connections.journal, fence, after)):
        say("set_aside", tasks=found)


def order(say: Say, connections: Connections, *_: Any) -> None:
    """Tell workers who is to take no task."""
    orders = draining.asked(connections.metadata)
    if draining.tell(connections.broker, orders):
        say("orders", workers=orders)


def forget(say: Say, connections: Connections, fence: Fence, _: float) -> None:
    """Remove orders that nobody needs any more."""
    if found := draining.forget(connections.broker, fence):
        say("orders_forgotten", workers=found)


def show(connections: Connections, fence: Fence, _: float) -> None:
    """Let the api-server know what waits."""
    due = waiting.due(connections.metadata)
    seen.write("queues", queues.look(connections.broker, time.time(), due), fence)


def tidy(say: Say, connections: Connections, *_: Any) -> None:
    """Remove reply queues that nobody reads."""
    if dropped := connections.broker.drop_orphan_replies():
        say("tidied", reply_queues=dropped)


def look_after_journal(say: Say, connections: Connections, *_: Any) -> None:
    """Make the coming days' partitions, and drop what is old."""
    if made := journal.make_partitions(connections.journal):
        say("partitions", made=made)
    if (pruned := journal.prune_by_setting(connections.journal)) and (pruned["tasks"] or pruned["partitions"]):
        say("pruned", **pruned)
