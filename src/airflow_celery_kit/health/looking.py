"""Runs in: airflow-controller; one check's looks, each in a thread of its own with connections of its own, so that one that hangs delays no other."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

from airflow_celery_kit.controller.sight import Connections
from airflow_celery_kit.core.health import Finding, State
from airflow_celery_kit.database_words import known, plainly
from airflow_celery_kit.health.check import Check

WAIT = "cure what else is not healthy"
# Longer than any sentence; what a look has read from elsewhere can be longer.
MOST_OF_A_TEXT = 500
URLS = {"api_server": "KIT_APISERVER_URL", "flower": "KIT_FLOWER_URL"}


def given(need: str, connections: Connections, environment: Mapping[str, str]) -> Any:
    """Return what a check asks for by name. Raises psycopg2.Error, OSError or KeyError where it cannot be had."""
    if need in URLS:
        return environment[URLS[need]]
    if need.startswith("open_"):
        return lambda: getattr(connections, need.removeprefix("open_"))
    return getattr(connections, need)


def look(check: Check, environment: Mapping[str, str]) -> list[Finding]:
    """Look once. What a check raises becomes a finding: it could not see; so does what it returns and nobody could keep."""
    connections = Connections()
    try:
        return [kept(one) for one in check.look(*(given(need, connections, environment) for need in check.needs))]
    except (Exception, SystemExit) as problem:
        said = text(plainly(problem))
        said = said if known(said) else f"cannot look: {said}"
        return [Finding(check.name, State.DEGRADED, said, WAIT, blind=True)]
    finally:
        connections.drop()


def kept(found: Finding) -> Finding:
    """Return a finding as a database keeps it. Raises AttributeError or ValueError for what is none."""
    return Finding(
        text(found.subject), State(found.state), text(found.why), text(found.cure), bool(found.vital), found.blind
    )


def text(said: object) -> str:
    """Return what a look has read, perhaps from a service that speaks no text: without NUL and halves of pairs, which jsonb refuses."""
    return str(said).encode("utf-8", "replace").decode().replace("\0", "")[:MOST_OF_A_TEXT]


def late(check: Check) -> Finding:
    """Return what follows from a look that is not back in time."""
    away = check.causes.get("away")
    cure, vital = (away.cure, away.vital and check.hangs.fails) if away else (WAIT, False)
    return Finding(check.name, check.hangs, f"no answer within {check.deadline:.0f} s", cure, vital, blind=True)


@dataclass
class Looker:
    """A check and its present look, which is `outdated` if it was begun before `anew`; times are steady, in seconds."""

    check: Check
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    look: Callable[[Check, Mapping[str, str]], list[Finding]] = look
    due: float = 0.0
    begun: float = 0.0
    told_late: bool = False
    answered: bool = False
    outdated: bool = False
    thread: Thread | None = None
    found: list[Finding] | None = None

    def anew(self, now: float) -> None:
        """Begin as if nothing had been seen: what an earlier look finds, even if it is still under way, says how things were."""
        self.begun, self.due, self.answered, self.told_late = now, now, False, False
        self.outdated = self.thread is not None

    def step(self, now: float) -> list[Finding] | None:
        """Begin a look that is due, or return what one has found; None where there is nothing new."""
        found = self._step(now)
        self.answered = self.answered or found is not None
        return found

    def _step(self, now: float) -> list[Finding] | None:
        if self.thread is None:
            if now >= self.due:
                self._begin(now)
            return None
        if self.thread.is_alive():
            return self._wait(now)
        self.thread = None
        # What came too late says how things were; how they are is looked at next.
        missed = self.told_late or self.outdated
        self.due = now if missed else self.begun + self.check.every
        return None if missed else self.found

    def _begin(self, now: float) -> None:
        self.begun, self.told_late, self.outdated, self.found = now, False, False, None
        self.thread = Thread(target=self._run, name=f"health {self.check.name}", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        self.found = self.look(self.check, self.environment)

    def _wait(self, now: float) -> list[Finding] | None:
        """Return that the look is late, again each time that the next one would have been due."""
        if now - self.begun < self.check.deadline + (self.check.every if self.told_late else 0.0):
            return None
        if self.told_late:
            self.begun += self.check.every
        self.told_late = True
        return [late(self.check)]
