"""Runs in: airflow-controller; what happened between two looks, told until another look has confirmed it: a start, a counter that grew."""

import time
from collections.abc import Container
from dataclasses import dataclass, field

# Long enough that a second look confirms it, and that those who collect states now and then see it.
TOLD_SECONDS = 12.0


@dataclass
class Anew:
    """What was known of each subject, by something that another start changes. What is seen for the first time was always there."""

    known: dict[str, object] = field(default_factory=dict)
    since: dict[str, float] = field(default_factory=dict)

    def keep(self, subjects: Container[str]) -> None:
        """Forget all but these: one that comes back after it was gone is seen for the first time."""
        self.known = {name: identity for name, identity in self.known.items() if name in subjects}
        self.since = {name: at for name, at in self.since.items() if name in subjects}

    def is_anew(self, subject: str, identity: object, expected: bool = False) -> bool:
        """Return whether a subject was started anew in the last TOLD_SECONDS; one that was `expected` to be was not."""
        now = time.monotonic()
        if subject in self.known and self.known[subject] != identity and not expected:
            self.since[subject] = now
        self.known[subject] = identity
        return now - self.since.get(subject, float("-inf")) < TOLD_SECONDS


@dataclass
class Grown:
    """How much was added to a counter of a server's. What stood there at the first look was always there; a restart begins at nought."""

    last: int | None = None
    steps: list[tuple[float, int]] = field(default_factory=list)

    def by(self, count: int) -> int:
        """Return how much was added in the last TOLD_SECONDS."""
        now = time.monotonic()
        more = count - self.last if self.last is not None else 0
        self.last = count
        told = [(at, number) for at, number in self.steps if now - at < TOLD_SECONDS]
        self.steps = [*told, (now, more)] if more > 0 else told
        return sum(number for _, number in self.steps)
