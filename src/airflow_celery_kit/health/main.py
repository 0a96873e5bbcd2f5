"""Runs in: airflow-controller; looks at everything again and again while this controller leads, and keeps the verdicts for whoever asks.

`python -m airflow_celery_kit.health.main` prints one look as JSON, for where nobody else can say: the api-server or its database is away.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psycopg2

from airflow_celery_kit import instance
from airflow_celery_kit.controller import seen
from airflow_celery_kit.controller.lease import Lease
from airflow_celery_kit.controller.sight import Connections
from airflow_celery_kit.core.health import Finding, Held, State, Verdict, judge, worst
from airflow_celery_kit.health import table
from airflow_celery_kit.health.breakers import Breakers
from airflow_celery_kit.health.canary import Canary
from airflow_celery_kit.health.check import Check
from airflow_celery_kit.health.looking import Looker
from airflow_celery_kit.health.own import Own, twice

Say = Callable[..., None]
WHAT = "health"
TURN_SECONDS = 1.0
# Written as often although nothing has changed, so that its age says whether somebody looks.
WRITE_SECONDS = 5.0
HOLD_SECONDS = 3.0
# A look that says otherwise than the verdict is soon followed by the one that confirms it.
AGAIN_SECONDS = 3.0
# So long what has never been well may be about to start, and is looked at as soon.
STARTING_SECONDS = 120.0
# What is ill is looked at so many times as often, so that its recovery is soon told.
ILL_TIMES = 2
# While a breaker counts what a check finds, so that even ten looks are made within ten seconds.
HURRY_SECONDS, HURRIED_TURN_SECONDS = 0.3, 0.1
READ = "SELECT facts, extract(epoch FROM clock_timestamp() - at)::float8 FROM kit.seen WHERE what = 'health'"


@dataclass
class Health:
    """What one controller looks at, and what holds by it. `at` is in seconds since 1970, `now` steady.

    `recorded` is what another one knew, and `whole` whether there is something to be said of everything.
    """

    lookers: list[Looker]
    say: Say
    held: dict[tuple[str, str], Held] = field(default_factory=dict)
    recorded: dict[tuple[str, str], Held] = field(default_factory=dict)
    whole: bool = False
    breakers: Breakers = field(default_factory=Breakers)

    def turn(self, now: float, at: float) -> bool:
        """Take up what was found since the last turn; return whether a verdict has changed."""
        before = {key: one.verdict.state for key, one in self.held.items()}
        for looker in list(self.lookers):
            if (found := looker.step(now)) is None:
                continue
            if self.take(looker.check, found, at) or self._starting(looker.check, at):
                looker.due = min(looker.due, now + AGAIN_SECONDS)
            elif worst(found) != State.HEALTHY:
                looker.due = min(looker.due, now + looker.check.every / ILL_TIMES)
            if self.breakers.hear(looker.check.name, found):
                looker.due = min(looker.due, now + HURRY_SECONDS)
            self.admit(looker, at)
        self.whole = self.whole or all(one.answered for one in self.lookers)
        return before != {key: one.verdict.state for key, one in self.held.items()}

    def take(self, check: Check, found: list[Finding], at: float) -> bool:
        """Judge a look's findings; a subject that it has not found is no more. Return whether another look is to confirm them."""
        unsure = False
        of_check = {key: one for key, one in self.held.items() if key[0] == check.name}
        for finding in found:
            before = of_check.pop((check.name, finding.subject), None)
            after = judge(before, check.name, finding, at, check.confirm)
            self.held[after.verdict.key] = after
            self._tell(before, after.verdict)
            unsure = unsure or after.other is not None
        for key in () if any(one.blind for one in found) else of_check:
            del self.held[key]
        return unsure

    def _starting(self, check: Check, at: float) -> bool:
        mine = (one for key, one in self.held.items() if key[0] == check.name)
        return any(one.starting and at - one.verdict.since < STARTING_SECONDS for one in mine)

    def admit(self, looker: Looker, at: float) -> None:
        """Look at what a name of the user's own has brought, once that is loaded."""
        if not isinstance(looker.check, Own) or not looker.check.checks:
            return
        checks = looker.check.checks
        if names := twice((one.check.name for one in self.lookers), checks):
            self.take(looker.check, [looker.check.unusable(f"there is another check called {', '.join(names)}")], at)
            return
        self.lookers.remove(looker)
        self.lookers += [Looker(check, looker.environment) for check in checks]
        self._expect(checks)

    def _tell(self, before: Held | None, now: Verdict) -> None:
        if (before.verdict.state if before else State.HEALTHY) != now.state:
            self.say("health", check=now.check, subject=now.subject, state=str(now.state), why=now.why)

    def verdicts(self) -> list[Verdict]:
        """Return what holds."""
        return [one.verdict for one in self.held.values()]

    def facts(self) -> dict[str, Any]:
        """Return what is kept for whoever asks: verdicts, names of checks, what the last canary of each queue took, in seconds."""
        canaries = [one.check for one in self.lookers if isinstance(one.check, Canary)]
        took = {queue: round(seconds, 6) for one in canaries for queue, seconds in list(one.seconds.items())}
        checks = sorted({one.check.name for one in self.lookers})
        return {"verdicts": [one.as_dict() for one in self.verdicts()], "checks": checks, "canary_seconds": took}

    def restore(self, facts: Mapping[str, Any], age: float, now: float) -> None:
        """Go on from what another controller knew, `age` seconds ago; what is no longer fresh is looked at first.

        What this one saw when it led before counts no more.
        """
        self.recorded, self.held, self.whole = known(facts), {}, age < seen.STALE_SECONDS
        self.breakers = Breakers()
        for looker in self.lookers:
            looker.anew(now)
        self._expect([one.check for one in self.lookers])

    def _expect(self, checks: list[Check]) -> None:
        for check in checks:
            mine = {key: one for key, one in self.recorded.items() if key[0] == check.name}
            self.held |= mine if self.whole else {}
            check.remember({subject for _, subject in mine})


@dataclass
class Loop:
    """Turns of a `Health` under a lease of its own: repair stands still while the broker is away, and this must not."""

    health: Health
    connections: Connections = field(default_factory=Connections)
    token: int | None = None
    asked: float = float("-inf")
    written: float = float("-inf")
    over: Event = field(default_factory=Event)
    failed: str = ""

    def turn(self, now: float, at: float) -> None:
        """Look and write while this controller leads. Raises psycopg2.Error where the database is away; it has looked then."""
        if self.token is None:
            self._lead(now)
            if self.token is None:
                return
        changed = self.health.turn(now, at)
        self._lead(now)
        if self.token is not None and self.health.whole and (changed or now - self.written >= WRITE_SECONDS):
            self.written = now
            seen.write(WHAT, self.health.facts(), self._lease().fenced)
        if self.token is not None:
            self.health.breakers.tell(self.connections.metadata, self._lease().fenced)

    def pause(self) -> float:
        """Return the seconds until the next turn."""
        return HURRIED_TURN_SECONDS if self.health.breakers.hurry else TURN_SECONDS

    def _lease(self) -> Lease:
        return Lease(self.connections.metadata, WHAT, instance.name(), self.token)

    def _lead(self, now: float) -> None:
        """Renew the lease, or take it; whoever has not looked until then goes on from what is on record."""
        if now - self.asked < HOLD_SECONDS:
            return
        self.asked = now
        lease = self._lease()
        lease.hold()
        # Each who takes it raises the token by one.
        if lease.token is not None and (self.token is None or lease.token > self.token + 1):
            self.health.restore(*recorded(self.connections.metadata), now)
        self.token = lease.token

    def run(self) -> None:
        """Turn until it is over: a process that ends must not take its lease again."""
        while not self.over.is_set():
            try:
                self.turn(time.monotonic(), time.time())
                self.failed = ""
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                self.connections.drop()
            except Exception as problem:
                self._fail(f"{type(problem).__name__}: {problem}")
                self.connections.drop()
            self.over.wait(self.pause())

    def _fail(self, reason: str) -> None:
        if reason != self.failed:
            self.health.say("fails", what=WHAT, reason=reason)
        self.failed = reason

    def start(self) -> None:
        """Turn for ever in a thread of its own."""
        Thread(target=self.run, name=WHAT, daemon=True).start()


def known(facts: Mapping[str, Any]) -> dict[tuple[str, str], Held]:
    """Return the verdicts on record; none where another version has written something else."""
    try:
        return {one.key: Held(one) for one in map(Verdict.of, facts.get("verdicts", ()))}
    except (KeyError, TypeError, ValueError):
        return {}


def recorded(metadata: Any) -> tuple[dict[str, Any], float]:
    """Return what is on record and how old that is, in seconds; nothing where there is none. Raises psycopg2.Error."""
    with metadata, metadata.cursor() as cursor:
        cursor.execute(READ)
        row = cursor.fetchone()
    return row or ({}, float("inf"))


def from_environment(environment: Mapping[str, str], say: Say) -> Health:
    """Return all checks of a deployment. The user's own are loaded by looks; what cannot be is a verdict itself."""
    if folder := environment.get("AIRFLOW__CORE__PLUGINS_FOLDER"):
        sys.path += [folder] if folder not in sys.path and Path(folder).is_dir() else []
    own = [Own(name, load) for name, load in table.own(environment)]
    return Health([Looker(check, environment) for check in [*table.built_in(environment), *own]], say)


def once(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return one look at everything but queues, whose canaries are the leader's own."""
    health = from_environment(environment, lambda *_, **__: None)
    health.lookers = [one for one in health.lookers if not isinstance(one.check, Canary)]
    try:
        connections = Connections()
        facts, _ = recorded(connections.metadata)
        health.restore(facts, 0.0, time.monotonic())
        connections.drop()
    except psycopg2.Error:
        pass
    while waiting := [one for one in health.lookers if not one.answered]:
        for looker in waiting:
            if (found := looker.step(time.monotonic())) is not None:
                looker.check.confirm = 1
                health.take(looker.check, found, time.time())
                health.admit(looker, time.time())
        time.sleep(0.05)
    return {"at": time.time(), "verdicts": [one.as_dict() for one in health.verdicts()]}


if __name__ == "__main__":
    print(json.dumps(once(os.environ)))  # noqa: T201
    sys.stdout.flush()
    # A look that hangs must not keep the process.
    os._exit(0)
