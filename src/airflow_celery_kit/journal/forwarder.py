"""Runs in: scheduler and workers, in a thread; carries events from where they wait to the journal's database, again and again.

While the database is away they wait where they are. Nothing here may stop the process that it runs in.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from airflow_celery_kit.errors import ConfigurationError
from airflow_celery_kit.journal.sink import Sink
from airflow_celery_kit.journal.spool import Spool, lines_of

log = logging.getLogger(__name__)

# What a task says within this time is one change of its record.
EVERY_SECONDS = 1.0
# Between two tries while a database is away.
AWAY_SECONDS = 2.0
# Events that are written in one statement.
BATCH = 500
# What a process that leaves may take to carry on what it still has; another one carries on the rest.
LEAVE_SECONDS = 5.0
REFUSED = "refused.jsonl"
LOOK_SECONDS = 3600.0


class Supply(Protocol):
    """Where events wait."""

    def carry(self, sink: Sink) -> int:
        """Write what waits to `sink` and let go of it; return how many events that were. Raises psycopg2.Error or OSError."""

    def drop(self) -> None:
        """Close what is open; the next use opens it anew."""


@dataclass
class SpoolSupply:
    """Events in files."""

    spool: Spool
    looked: float = 0.0

    def carry(self, sink: Sink) -> int:
        """See `Supply`. What the database refuses for ever is kept beside the spool."""
        carried = 0
        for path in self.spool.files():
            if taken := self.spool.take(path):
                for lines in lines_of(taken, BATCH):
                    sink.write(lines, self._keep)
                    carried += len(lines)
                taken.unlink(missing_ok=True)
        self._forget_refused()
        return carried

    def drop(self) -> None:
        """See `Supply`."""

    def _forget_refused(self) -> None:
        """Remove what was refused once it is as old as config/housekeeping.yaml says; asked once an hour, where there is any."""
        path, now = self.spool.folder / REFUSED, time.time()
        if now - self.looked < LOOK_SECONDS or not path.is_file():
            return
        self.looked = now
        from airflow_celery_kit import housekeeping

        with suppress(ConfigurationError, FileNotFoundError):
            if now - path.stat().st_mtime > housekeeping.from_environment()["spool"]:
                path.unlink()

    def _keep(self, lines: Sequence[str]) -> None:
        log.warning("%d event is not one that the journal takes, kept in %s", len(lines), self.spool.folder / REFUSED)
        with (self.spool.folder / REFUSED).open("a") as file:
            file.writelines(f"{line}\n" for line in lines)


def nothing() -> None:
    """What there is to do before events are carried on, as a rule."""


@dataclass
class Forwarder:
    """Carries from every supply to one sink, each time after `before`, which raises why nothing can be carried."""

    sink: Sink
    supplies: Sequence[Supply]
    before: Callable[[], None] = nothing
    every: float = EVERY_SECONDS
    problem: str = ""
    left: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, in a thread that does not keep the process from ending."""
        self.thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self.thread.start()

    def leave(self, seconds: float = LEAVE_SECONDS) -> None:
        """Carry on what is still there and end; returns after `seconds` at most."""
        self.left.set()
        if self.thread:
            self.thread.join(seconds)

    def turn(self) -> bool:
        """Carry on what waits; return whether everything could be reached."""
        reason = reason_of(self.before) or "; ".join(filter(None, map(self._carry, self.supplies)))
        if reason and reason != self.problem:
            log.warning("the journal cannot be written, events wait: %s", reason)
        elif self.problem and not reason:
            log.warning("the journal is written again")
        self.problem = reason
        return not reason

    def _run(self) -> None:
        pause = self.every
        while not self.left.wait(pause):
            pause = self.every if self.turn() else AWAY_SECONDS
        self.turn()

    def _carry(self, supply: Supply) -> str:
        """Carry what one supply has; return why it cannot be, nothing where it can. One does not wait for another."""
        if reason := reason_of(lambda: supply.carry(self.sink)):
            self.sink.drop()
            supply.drop()
        return reason


def reason_of(step: Callable[[], object]) -> str:
    """Take a step; return why it failed in one line, nothing where it did not. Whatever it is, events stay where they are."""
    try:
        step()
    except Exception as problem:
        return str(problem).strip().partition("\n")[0] or type(problem).__name__
    return ""
