"""Runs in: tests, beside guards/breakers.sql, which does the same; pure: when a breaker opens, who tries it out, how long it stays open."""

from dataclasses import dataclass, field
from typing import Literal

Growth = Literal["constant", "linear", "exponential"]
Became = Literal["worked", "broke", "left"]
LOUD_TRIPS, LOUD_WITHIN, LOUD_SECONDS = 3, 300.0, 1800.0
NEVER = float("-inf")


@dataclass(frozen=True)
class Terms:
    """After how many failures in so many seconds it opens, and for how long. 0 failures: only health checks and people open it."""

    failures: int = 3
    within: float = 60.0
    open_for: float = 30.0
    growth: Growth = "constant"
    most: float = 30.0

    def seconds(self, openings: int) -> float:
        """Return how long it stays open after it has opened so many times without having closed."""
        factor = {"constant": 1, "linear": openings, "exponential": 2 ** min(openings - 1, 30)}[self.growth]
        return min(self.most, self.open_for * factor)


@dataclass
class Breaker:
    """One breaker; times are in seconds of one clock."""

    terms: Terms = field(default_factory=Terms)
    state: Literal["closed", "open", "half-open"] = "closed"
    failed_at: list[float] = field(default_factory=list)
    until: float | None = None
    openings: int = 0
    probe: str | None = None
    trips: list[float] = field(default_factory=list)
    loud_until: float = NEVER

    def ask(self, task: str, at: float, probe_is_under_way: bool) -> str:
        """Return `closed` or `probe` where a task may begin, else why it may not: `open`, `probing`."""
        if self.state == "closed":
            return "closed"
        if self.state == "open" and (self.until or NEVER) > at:
            return "open"
        return "probing" if self.probe not in (None, task) and probe_is_under_way else "probe"

    def begin_probe(self, task: str) -> None:
        """Let one task try it out."""
        self.state, self.probe = "half-open", task

    def heard(self, task: str, became: Became, at: float) -> None:
        """Take in what became of a task that was let in."""
        if self.probe == task:
            if became == "worked":
                self.close()
            elif became == "broke":
                self.open(at)
            else:
                self.probe = None
        elif self.state == "closed" and became == "broke" and self.terms.failures:
            self.failed_at = [one for one in self.failed_at if one > at - self.terms.within] + [at]
            if len(self.failed_at) >= self.terms.failures:
                self.open(at)

    def open(self, at: float) -> None:
        """Open it."""
        self.trips = [one for one in self.trips if one > at - LOUD_WITHIN] + [at]
        if len(self.trips) >= LOUD_TRIPS:
            self.loud_until = at + LOUD_SECONDS
        self.openings += 1
        self.state, self.failed_at, self.probe = "open", [], None
        self.until = at + self.terms.seconds(self.openings)

    def close(self) -> None:
        """Close it."""
        self.state, self.failed_at, self.probe, self.until, self.openings = "closed", [], None, None, 0

    def level(self, at: float) -> Literal["warning", "error"]:
        """Return how loud a trip at `at` is."""
        return "error" if self.loud_until > at else "warning"
