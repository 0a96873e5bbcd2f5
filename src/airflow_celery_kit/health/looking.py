"""Runs in: airflow-controller; one check's looks, each in a thread of its own with connections of its own, so that one that hangs delays no other."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

from airflow_celery_kit.controller.sight import Connections
from airflow_celery_kit.core.health import Finding, State
from airflow_celery_kit.health.check import Check

WAIT = "cure what else is not healthy"
URLS = {"api_server": "KIT_APISERVER_URL", "flower": "KIT_FLOWER_URL"}


def given(need: str, connections: Connections, environment: Mapping[str, str]) -> Any:
    """Return what a check asks for by name. Raises psycopg2.Error, OSError or KeyError where it cannot be had."""
    if need in URLS:
        return environment[URLS[need]]
    if need.startswith("open_"):
        return lambda: getattr(connections, need.removeprefix("open_"))
    return getattr(connections, need)


def look(check: Check, environment: Mapping[str, str]) -> list[Finding]:
    """Look once. What a check raises becomes a finding: it could not see."""
    connections = Connections()
    try:
        return list(check.look(*(given(need, connections, environment) for need in check.needs)))
    except (Exception, SystemExit) as problem:
        said = " ".join(str(problem).split()) or type(problem).__name__
        return [Finding(check.name, State.DEGRADED, f"cannot look: {said}", WAIT)]
    finally:
        connections.drop()


def late(check: Check) -> Finding:
    """Return what follows from a look that is not back in time."""
    away = check.causes.get("away")
    cure, vital = (away.cure, away.vital and check.hangs.fails) if away else (WAIT, False)
    return Finding(check.name, check.hangs, f"no answer within {check.deadline:.0f} s", cure, vital)


@dataclass
class Looker:
    """A check and its present look; times are steady, in seconds."""

    check: Check
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    look: Callable[[Check, Mapping[str, str]], list[Finding]] = look
    due: float = 0.0
    begun: float = 0.0
    told_late: bool = False
    thread: Thread | None = None
    found: list[Finding] | None = None

    def step(self, now: float) -> list[Finding] | None:
        """Begin a look that is due, or return what one has found; None where there is nothing new."""
        if self.thread is None:
            if now >= self.due:
                self._begin(now)
            return None
        if self.thread.is_alive():
            return self._wait(now)
        self.thread = None
        # What came too late says how things were; how they are is looked at next.
        self.due = now if self.told_late else self.begun + self.check.every
        return None if self.told_late else self.found

    def _begin(self, now: float) -> None:
        self.begun, self.told_late, self.found = now, False, None
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
