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
from tests.stack.faults.faults import Said
from tests.stack.harness.stack import Stack
from tests.stack.harness.wait import wait_for

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


@dataclass
class Record:
    """All that was not Healthy during a row, with when it was seen first; times are steady."""

    stack: Stack
    over: Event = field(default_factory=Event)
    seen: dict[tuple[str, str, str, str], float] = field(default_factory=dict)

    def run(self) -> None:
        """Look until the row is over."""
        while not self.over.wait(EVERY_SECONDS):
            with contextlib.suppress(Exception):
                for one in ill(self.stack):
                    self.seen.setdefault(one, time.monotonic())

    def first(self, said: Said) -> float | None:
        """Return when it was said first, None where it was not."""
        found = [
            at
            for (check, subject, state, why), at in list(self.seen.items())
            if (check, state) == (said.check, said.state) and said.why in why and subject.endswith(said.subject)
        ]
        return min(found, default=None)


@contextlib.contextmanager
def recording(evidence: Evidence) -> Iterator[Record | None]:
    """Around a row of which health is to say something: what is said while it lasts; all is well when it begins."""
    if evidence.is_stock or isinstance(evidence.fault.row.says, str):
        yield None
        return
    wait_for(
        "all to be well", lambda: verdicts(evidence.stack) and not ill(evidence.stack), 60, lambda: ill(evidence.stack)
    )
    record = Record(evidence.stack)
    thread = Thread(target=record.run, daemon=True)
    thread.start()
    try:
        yield record
    finally:
        record.over.set()
        thread.join(60)


def unsaid(evidence: Evidence, record: Record | None) -> str:
    """Return what health has not said of a row in time, or still says; nothing where it did, or where its test has seen to that (`told`)."""
    said = evidence.fault.row.says
    if record is None or evidence.has_told or evidence.struck_at is None or isinstance(said, str):
        return ""
    until = evidence.struck_at + TOLD_SECONDS * evidence.slack
    try:
        while (at := record.first(said)) is None and time.monotonic() < until:
            time.sleep(1)
        assert at is not None, f"health never said {said}, but {sorted(record.seen)}"
        evidence.measure("told by health", max(0.0, at - evidence.struck_at), at_most=TOLD_SECONDS)
        well_again(evidence, said.check, said.subject)
    except AssertionError as problem:
        return str(problem)
    return ""


@contextlib.contextmanager
def told(evidence: Evidence, check: str, state: str, why: str = "", subject: str = "") -> Iterator[Watch]:
    """Around a fault that has begun: its verdict is seen within TOLD_SECONDS, or before its end; afterwards it is gone within WELL_SECONDS.

    The block ends when the fault is over and what it struck is back.
    """
    watch, evidence.has_told = Watch(evidence.stack, check, subject, state, why), True
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
