"""Runs in: tests, beside guards/limits.sql, which does the same; pure: the generic cell rate algorithm.

Of `burst` at once and then one in each gap, never more than `number` lie in any period: burst + (number - burst + 1) gaps are a period.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rate:
    """`number` in each `period` seconds, `burst` of them at once, from 1 to `number`."""

    number: int
    period: float
    burst: int

    @property
    def gap(self) -> float:
        """Seconds between two once the burst is used up."""
        return self.period / (self.number - self.burst + 1)

    def due(self, following: float) -> float:
        """Return when the next one may begin; `following` is what `take` returned last."""
        return following - self.gap * (self.burst - 1)

    def take(self, following: float, at: float) -> float:
        """Return what is to be kept when one begins at `at`."""
        return max(following, at) + self.gap

    def times(self, workers: int) -> "Rate":
        """Return the rate of so many workers that have it each."""
        return Rate(self.number * workers, self.period, self.burst * workers)


def usual_burst(number: int, period: float) -> int:
    """Return how many may begin at once where nobody says: as many as are due in two seconds, so that a look a second loses none.

    A fifth of the number at most: what begins at once is paid for by longer gaps after it.
    """
    return max(1, min(number // 5, round(2 * number / period)))
