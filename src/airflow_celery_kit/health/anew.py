"""Runs in: airflow-controller; whether something that a check knows was started anew since the last look."""

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
