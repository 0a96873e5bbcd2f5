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
    """Looks until health says what is awaited; `at` is when it did, steady, and `seen` all that was not Healthy meanwhile."""

    stack: Stack
    said: Said
    begun: float = field(default_factory=time.monotonic)
    at: float | None = None
    seen: set[tuple[str, str, str, str]] = field(default_factory=set)
    over: Event = field(default_factory=Event)

    def matches(self, one: tuple[str, str, str, str]) -> bool:
        """Return whether a verdict is the one that is awaited."""
        check, subject, state, why = one
        named = (check, state) == (self.said.check, self.said.state) and subject.endswith(self.said.subject)
        return named and self.said.why in why

    def run(self) -> None:
        """Look until it is seen or nobody waits for it any more."""
        while self.at is None and not self.over.is_set():
            with contextlib.suppress(Exception):
                found = ill(self.stack)
                self.seen.update(found)
                self.at = time.monotonic() if any(map(self.matches, found)) else None
            self.over.wait(EVERY_SECONDS)


@contextlib.contextmanager
def watching(stack: Stack, said: Said) -> Iterator[Watch]:
    """Around what health is to speak of: a watch in a thread beside the test."""
    watch = Watch(stack, said)
    thread = Thread(target=watch.run, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.over.set()
        thread.join(60)


@contextlib.contextmanager
def recording(evidence: Evidence) -> Iterator[Watch | None]:
    """Around a row of which health is to say something: what is said while it lasts; all is well when it begins."""
    said = evidence.fault.row.says
    if evidence.is_stock or isinstance(said, str):
        yield None
        return
    wait_for(
        "all to be well", lambda: verdicts(evidence.stack) and not ill(evidence.stack), 60, lambda: ill(evidence.stack)
    )
    with watching(evidence.stack, said) as watch:
        yield watch


def unsaid(evidence: Evidence, watch: Watch | None) -> str:
    """Return what health has not said of a row in time, or still says; nothing where it did, or where its test has seen to that (`told`)."""
    if watch is None or evidence.has_told or evidence.struck_at is None:
        return ""
    until = evidence.struck_at + TOLD_SECONDS * evidence.slack
    try:
        await_told(watch, until - time.monotonic())
        judge(evidence, watch, evidence.struck_at)
    except AssertionError as problem:
        return str(problem)
    return ""


@contextlib.contextmanager
def told(evidence: Evidence, check: str, state: str, why: str = "", subject: str = "") -> Iterator[Watch]:
    """Around a fault that has begun: its verdict is seen within TOLD_SECONDS, or before its end; afterwards it is gone within WELL_SECONDS.

    The block ends when the fault is over and what it struck is back.
    """
    said, evidence.has_told = Said(check, state, why, subject), True
    if evidence.is_stock:
        yield Watch(evidence.stack, said, at=0.0)
        return
    with watching(evidence.stack, said) as watch:
        yield watch
    judge(evidence, watch, watch.begun)


def judge(evidence: Evidence, watch: Watch, begun: float) -> None:
    """Hold what health said against its bars."""
    assert watch.at is not None, f"health never said {watch.said}, but {sorted(watch.seen)}"
    evidence.measure("told by health", max(0.0, watch.at - begun), at_most=TOLD_SECONDS)
    well_again(evidence, watch.said.check, watch.said.subject)


def await_told(watch: Watch, seconds: float = 60.0) -> None:
    """Keep a fault going until health has told of it."""
    until = time.monotonic() + seconds
    while watch.at is None and time.monotonic() < until:
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
