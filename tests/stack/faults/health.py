"""Runs in: stack tests; what `kit health --json` says while a fault lasts, and after it is over.

In this process, as `kit` asks: a look that starts another process each time takes the CPU from what it waits for.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

from airflow_celery_kit.cli.health_commands import SECONDS, judged
from airflow_celery_kit.clients import Airflow
from airflow_celery_kit.errors import KitError
from airflow_celery_kit.runtimes.choose import RUNTIMES
from tests.stack.faults.evidence import Evidence
from tests.stack.harness.stack import Stack

# What is asked of health: the right state and cause this soon, and healthy again this soon after the fault is over.
TOLD_SECONDS, WELL_SECONDS = 60, 30
EVERY_SECONDS = 2.0
CLIENTS: dict[tuple[str, str], Airflow] = {}


def verdicts(stack: Stack) -> list[dict[str, Any]]:
    """Return what `kit health --json` says; nothing where it cannot say anything."""
    settings = stack.settings
    # Logged in once: each login costs the api-server a tenth of a second.
    api = CLIENTS.setdefault((str(stack.root), settings["AIRFLOW_PORT"]), Airflow(settings, SECONDS))
    try:
        return list(judged(settings, RUNTIMES[stack.runtime](settings), api)["verdicts"])
    except KitError:
        return []


def ill(stack: Stack) -> list[tuple[str, str, str, str]]:
    """Return check, subject, state and reason of all that is not Healthy."""
    return [
        (one["check"], one["subject"], one["state"], one["why"]) for one in verdicts(stack) if one["state"] != "Healthy"
    ]


@dataclass
class Watch:
    """Looks for a verdict in a thread beside the test; `told` is when it was seen, in seconds after the fault."""

    stack: Stack
    check: str
    subject: str
    state: str
    why: str
    begun: float = field(default_factory=time.monotonic)
    told: float | None = None
    over: Event = field(default_factory=Event)
    last: list[Any] = field(default_factory=list)

    def matches(self, one: dict[str, Any]) -> bool:
        """Return whether a verdict is the one that is awaited."""
        subject = one["subject"].removeprefix(f"{self.stack.settings.project}-")
        named = (one["check"], subject, one["state"]) == (self.check, self.subject or self.check, self.state)
        return named and self.why in one["why"]

    def run(self) -> None:
        """Look until it is seen or the fault is over."""
        while self.told is None and not self.over.is_set():
            with contextlib.suppress(Exception):
                self.last = verdicts(self.stack)
                if any(map(self.matches, self.last)):
                    self.told = time.monotonic() - self.begun
            self.over.wait(EVERY_SECONDS)


@contextlib.contextmanager
def told(evidence: Evidence, check: str, state: str, why: str = "", subject: str = "") -> Iterator[Watch]:
    """Around a fault that has begun: its verdict is seen within TOLD_SECONDS, or before its end; afterwards it is gone within WELL_SECONDS.

    The block ends when the fault is over and what it struck is back.
    """
    watch = Watch(evidence.stack, check, subject, state, why)
    if evidence.is_stock:
        watch.told = 0.0
        yield watch
        return
    thread = Thread(target=watch.run, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        # A fault that is shorter than its bar leaves the verdict the time to be found as it was.
        watch.over.set()
        thread.join(60)
    shown = [
        (one["check"], one["subject"], one["state"], one["why"]) for one in watch.last if one["state"] != "Healthy"
    ]
    assert watch.told is not None, f"health never said {state} of {subject or check}, but {shown}"
    evidence.measure("told by health", watch.told, at_most=TOLD_SECONDS)
    well_again(evidence, check, subject)


def await_told(watch: Watch, seconds: float = 60.0) -> None:
    """Keep a fault going until health has told of it."""
    until = time.monotonic() + seconds
    while watch.told is None and time.monotonic() < until:
        time.sleep(0.5)


def well_again(evidence: Evidence, check: str, subject: str = "") -> None:
    """Wait until a check says Healthy of what was struck, or no longer speaks of it."""
    begun, seen = time.monotonic(), []
    while time.monotonic() - begun < 4 * WELL_SECONDS:
        seen = [one for one in ill(evidence.stack) if one[0] == check and (not subject or one[1].endswith(subject))]
        if not seen and verdicts(evidence.stack):
            break
        time.sleep(1)
    evidence.measure("healthy again", time.monotonic() - begun, at_most=WELL_SECONDS)
    assert not seen, f"still not healthy: {seen}"
