"""Runs in: airflow-controller; a tiny message through each queue once a minute: taken by a worker, run in one of its slots, back in its report.

It is the most urgent of its queue and takes a slot for milliseconds. There is one in a queue at a time, so that none pile up before
full slots. The message is the one that Celery would write (protocol 2 of Celery, kombu's envelope for Redis).
"""

import base64
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import uuid4

from airflow_celery_kit.controller.broker import identity, is_canary, list_of
from airflow_celery_kit.core.health import Cause, Finding, State
from airflow_celery_kit.core.priorities import NO_TASK
from airflow_celery_kit.health.check import Check
from airflow_celery_kit.worker.broker import CANARY, PRIORITY_STEPS, SENT_AT

EVERY_SECONDS = 60.0
# A worker reports every two seconds, and the controller looks every ten.
LATE_SECONDS = 20.0
SLOW_SECONDS = 10.0
# One may be lost with a broker that forgot it; two are no chance.
LOST_IN_A_ROW = 2
# What was sent before a longer time without a look says nothing any more.
GAP_SECONDS = 30.0
FIRST = PRIORITY_STEPS[0]
BODY = base64.b64encode(
    json.dumps([[], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]).encode()
).decode()


@dataclass
class Flight:
    """The last canary of a queue: its id, when it was sent on a steady clock, seconds it took once it is back, how many were lost before it, whether
    all slots were busy while it waited.
    """

    id: str
    sent: float
    took: float | None = None
    lost: int = 0
    queued_for_a_slot: bool = False


class Canary(Check):
    """One for each queue that a live worker serves. While all slots are busy it waits as any task does, which is well."""

    name = "canary"
    needs = ("broker",)
    hangs = State.DEGRADED
    causes: ClassVar = {
        "waits": Cause(
            State.UNHEALTHY,
            f"it waits for {LATE_SECONDS:.0f} s though slots are free",
            "see what the workers of this queue say: 'kit health', 'kit logs airflow-worker'",
        ),
        "lost": Cause(
            State.UNHEALTHY,
            f"{LOST_IN_A_ROW} in a row were taken and never came back",
            "see the log of the workers of this queue: their slots may hang",
        ),
        "slow": Cause(
            State.DEGRADED,
            f"it took more than {SLOW_SECONDS:.0f} s though slots were free",
            "see what the machine of these workers does",
        ),
    }

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.flights: dict[str, Flight] = {}
        self.looked = 0.0
        # What the last one of each queue took, in seconds.
        self.seconds: dict[str, float] = {}

    def look(self, broker: Any) -> Iterable[Finding]:
        """Return a finding for each queue; send what is due."""
        reports = broker.reports()
        if self.clock() - self.looked > GAP_SECONDS:
            self.flights.clear()
        self.looked = self.clock()
        served = {queue for said in reports.values() if knows(said) for queue in said["consuming"]}
        for queue in set(self.flights) - served:
            take_back(broker, queue)
            del self.flights[queue]
            self.seconds.pop(queue, None)
        return [self._of(queue, broker, reports) for queue in sorted(served)]

    def _of(self, queue: str, broker: Any, reports: Mapping[str, Any]) -> Finding:
        flight, now = self.flights.get(queue), self.clock()
        if flight is None:
            # What another controller sent and nobody took says nothing to this one.
            take_back(broker, queue)
            flight = self.flights[queue] = Flight(send(broker, queue), now)
            return self.well("the first one is under way", queue)
        free = free_slots(queue, reports)
        if flight.took is None and (back := found(queue, flight.id, reports)):
            flight.took, flight.lost = back, 0
            self.seconds[queue] = back
        if flight.took is not None:
            took = flight.took
            if now - flight.sent >= EVERY_SECONDS:
                self.flights[queue] = Flight(send(broker, queue), now)
            said = f"through in {took * 1000:.0f} ms"
            slow = took > SLOW_SECONDS and not flight.queued_for_a_slot
            return self.ill("slow", said, queue) if slow else self.well(said, queue)
        return self._away(queue, flight, broker, free, now)

    def _away(self, queue: str, flight: Flight, broker: Any, free: int, now: float) -> Finding:
        """Return what follows from one that is not back."""
        age, waits = now - flight.sent, waits_in(broker, queue, flight.id)
        flight.queued_for_a_slot = flight.queued_for_a_slot or (waits and not free)
        if waits and not free:
            return self.well(f"all slots busy; one waits for {age:.0f} s", queue)
        if waits and age >= LATE_SECONDS:
            return self.ill("waits", f"it waits for {age:.0f} s beside {free} free slots", queue)
        if not waits and age >= LATE_SECONDS:
            lost = flight.lost + 1
            self.flights[queue] = Flight(send(broker, queue), now, lost=lost)
            if lost >= LOST_IN_A_ROW:
                return self.ill("lost", f"{lost} in a row never came back", queue)
        elif flight.lost >= LOST_IN_A_ROW:
            return self.ill("lost", f"{flight.lost} in a row never came back", queue)
        return self.well("one is under way", queue)


def knows(said: Mapping[str, Any]) -> bool:
    """Return whether a worker knows what a canary is and takes tasks; an older one would throw it away with an error."""
    return "canary" in said and not said.get("drained") and not said.get("short")


def free_slots(queue: str, reports: Mapping[str, Any]) -> int:
    """Return how many slots of a queue's workers run nothing."""
    return sum(
        max(0, int(said.get("slots") or 0) - len(said["held"]))
        for said in reports.values()
        if queue in said.get("queues", ()) and knows(said)
    )


def found(queue: str, id: str, reports: Mapping[str, Any]) -> float | None:
    """Return the seconds of a canary that is back; machines may disagree about the time, so it is at least a little."""
    for said in reports.values():
        last = said.get("canary", {}).get(queue, {})
        if last.get("id") == id:
            return max(0.001, float(last["seconds"]))
    return None


def send(broker: Any, queue: str) -> str:
    """Put a canary into the first list of a queue, where it is taken next; return its id."""
    id = str(uuid4())
    broker.client.rpush(list_of(queue, FIRST), json.dumps(message(id, queue, time.time())))
    return id


def message(id: str, queue: str, now: float) -> dict[str, Any]:
    """Return what Celery would write. `now` is in seconds since 1970."""
    headers = {
        "lang": "py",
        "task": CANARY,
        "id": id,
        "root_id": id,
        "parent_id": None,
        "group": None,
        "retries": 0,
        "eta": None,
        "expires": None,
        "timelimit": [None, None],
        "argsrepr": NO_TASK,
        "kwargsrepr": "{}",
        "origin": "kit",
        "ignore_result": True,
        SENT_AT: now,
    }
    properties = {
        "correlation_id": id,
        "reply_to": "",
        "delivery_mode": 1,
        "delivery_info": {"exchange": "", "routing_key": queue},
        "priority": FIRST,
        "body_encoding": "base64",
        "delivery_tag": str(uuid4()),
    }
    return {
        "body": BODY,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": properties,
    }


def waits_in(broker: Any, queue: str, id: str) -> bool:
    """Return whether a canary is still where it was put; it was put at the end that is taken first."""
    return any(identity(raw)[0] == id for raw in broker.client.lrange(list_of(queue, FIRST), -100, -1))


def take_back(broker: Any, queue: str) -> None:
    """Remove what nobody has taken."""
    key = list_of(queue, FIRST)
    for raw in broker.client.lrange(key, -100, -1):
        if is_canary(raw):
            broker.client.lrem(key, -1, raw)
