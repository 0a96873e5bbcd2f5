"""Runs in: scheduler and workers, in a thread; carries events from where they wait to the journal's database, again and again.

While the database is away they wait where they are. Nothing here may stop the process that it runs in.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

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

    def carry(self, sink: Sink) -> int:
        """See `Supply`. What the database refuses for ever is kept beside the spool."""
        carried = 0
        for path in self.spool.files():
            if taken := self.spool.take(path):
                for lines in lines_of(taken, BATCH):
                    sink.write(lines, self._keep)
                    carried += len(lines)
                taken.unlink(missing_ok=True)
        return carried

    def drop(self) -> None:
        """See `Supply`."""

    def _keep(self, lines: Sequence[str]) -> None:
        log.warning("%d event is not one that the journal takes, kept in %s", len(lines), self.spool.folder / REFUSED)
        with (self.spool.folder / REFUSED).open("a") as file:
            file.writelines(f"{line}\n" for line in lines)


@dataclass
class Forwarder:
    """Carries from every supply to one sink."""

    sink: Sink
    supplies: Sequence[Supply]
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
        problems = [problem for supply in self.supplies if (problem := self._carry(supply))]
        reason = "; ".join(problems)
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
        try:
            supply.carry(self.sink)
        except Exception as problem:  # Whatever it is, events stay where they are.
            self.sink.drop()
            supply.drop()
            return str(problem).strip() or type(problem).__name__
        return ""
