"""Runs in: stack tests; the attempts behind the receipts, and whether each second one has a kill of the first on record."""

import contextlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.stack.harness.load import Load

# How long the report of a task's end may take on a busy machine, in seconds.
TELLING = 2.0


@dataclass(frozen=True)
class Attempt:
    """One start of a task; `ended` is None where it left no end receipt. Times are the clock's, in seconds."""

    index: int
    worker: str
    started: float
    ended: float | None


@dataclass
class Kills:
    """Which worker was killed when: each kill fell between its two times."""

    on_record: list[tuple[str, float, float]] = field(default_factory=list)

    @contextlib.contextmanager
    def of(self, worker: str) -> Iterator[None]:
        """Put on record that a worker is killed inside."""
        begun = time.time()
        yield
        self.on_record.append((worker, begun, time.time()))

    def explains(self, first: Attempt, second: Attempt) -> bool:
        """Return whether the first attempt was killed before the second began.

        A task that has left its last receipt still has to tell Airflow its end; killed in between, it runs again.
        """
        return any(
            first.worker.endswith(worker)
            and first.started < until
            and (first.ended is None or first.ended + TELLING > since)
            and second.started > since
            for worker, since, until in self.on_record
        )


def attempts(load: Load) -> list[Attempt]:
    """Return every start of every task, oldest first."""
    ends = {(one["index"], one["host"], one["pid"]): one["at"] for one in load.receipts("end")}
    return [
        Attempt(one["index"], one["host"], one["at"], ends.get((one["index"], one["host"], one["pid"])))
        for one in load.receipts("start")
    ]


def unexplained(loads: Iterable[Load], kills: Kills) -> list[tuple[Attempt, Attempt]]:
    """Return the pairs of attempts at one task of which no kill explains the second."""
    found = []
    for load in loads:
        last: dict[int, Attempt] = {}
        for attempt in attempts(load):
            if (first := last.get(attempt.index)) and not kills.explains(first, attempt):
                found.append((first, attempt))
            last[attempt.index] = attempt
    return found
