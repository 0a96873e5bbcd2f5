"""Runs in: your shell, during `make bench`; a bar on a terminal, elsewhere one line for each finished measurement."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

# The first figures of a load are the ones to look at.
TOLD = 2


class Shown(Protocol):
    """What both ways to show progress can do."""

    def begin(self, what: str) -> None:
        """Say what is measured from now on."""

    def finish(self, what: str, figures: Mapping[str, float]) -> None:
        """Say that one measurement is done, and what it gave."""

    def repeat(self, why: str, count: int) -> None:
        """Say why so many more measurements are to come."""


class Bar:
    """A live bar. `total` is the number of measurements to come."""

    def __init__(self, total: int, progress: Progress) -> None:
        self.progress, self.total = progress, total
        self.line = progress.add_task("", total=total)

    def begin(self, what: str) -> None:
        """See `Shown`."""
        self.progress.update(self.line, description=what)

    def finish(self, what: str, figures: Mapping[str, float]) -> None:
        """See `Shown`."""
        self.progress.advance(self.line)

    def repeat(self, why: str, count: int) -> None:
        """See `Shown`."""
        self.total += count
        self.progress.update(self.line, total=self.total)
        self.progress.console.print(why, markup=False, highlight=False)


class Lines:
    """One line for each finished measurement: how many are done, seconds since the start, the first figures."""

    def __init__(self, total: int, console: Console) -> None:
        self.total, self.console = total, console
        self.done, self.begun = 0, time.monotonic()

    def begin(self, what: str) -> None:
        """Say nothing: the line comes when it is done."""

    def finish(self, what: str, figures: Mapping[str, float]) -> None:
        """See `Shown`."""
        self.done += 1
        told = ", ".join(f"{name} {value:.3g}" for name, value in list(figures.items())[:TOLD])
        line = f"{self.done} of {self.total} after {time.monotonic() - self.begun:.0f} s: {what}: {told}"
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def repeat(self, why: str, count: int) -> None:
        """See `Shown`."""
        self.total += count
        self.console.print(why, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def shown(total: int, console: Console) -> Iterator[Shown]:
    """Give the way to show progress that suits a console."""
    if not console.is_terminal:
        yield Lines(total, console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        yield Bar(total, progress)
