"""Runs in: airflow-controller and whoever reads its verdicts; pure: states of health, verdicts, and when a look changes a verdict."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """How well something is; each is worse than those before it."""

    HEALTHY = "Healthy"
    DEGRADED = "Degraded"
    INSECURE = "Insecure"
    UNHEALTHY = "Unhealthy"
    GONE = "Permanently Unavailable"

    @property
    def rank(self) -> int:
        """How bad it is, from 0."""
        return list(State).index(self)

    @property
    def word(self) -> str:
        """Its name in config/limits.yaml."""
        return self.value.lower().replace(" ", "_")

    @property
    def fails(self) -> bool:
        """Whether what depends on it cannot do its work."""
        return self.rank >= State.UNHEALTHY.rank


@dataclass(frozen=True)
class Cause:
    """Why something may not be healthy: the state that follows, when it is so, what to do.

    `vital` is one without which the stack runs no task: it is not ready.
    """

    state: State
    when: str
    cure: str
    vital: bool = False


@dataclass(frozen=True)
class Finding:
    """What one look saw of one subject; `why` is a sentence, `cure` is empty where nothing is to be done.

    One that is `blind` says that nothing could be seen: of other subjects it says nothing.
    """

    subject: str
    state: State
    why: str
    cure: str = ""
    vital: bool = False
    blind: bool = False


@dataclass(frozen=True)
class Verdict:
    """What holds of one subject; `since` is in seconds since 1970."""

    check: str
    subject: str
    state: State
    since: float
    why: str
    cure: str = ""
    vital: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Whose verdict it is."""
        return self.check, self.subject

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"state": str(self.state)}

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "Verdict":
        """Return what `as_dict` wrote. Raises KeyError, ValueError for anything else."""
        known = {name: facts[name] for name in cls.__dataclass_fields__}
        return cls(**known | {"state": State(facts["state"])})


@dataclass(frozen=True)
class Held:
    """A verdict, and how many looks in a row were better, or worse; `other` is the one of these that is nearest to the verdict.

    What is `starting` was not well at the first look and has not been since.
    """

    verdict: Verdict
    other: Finding | None = None
    looks: int = 0
    starting: bool = False


def judge(held: Held | None, check: str, finding: Finding, at: float, confirm: int) -> Held:
    """Return what holds after one more look at a subject: `confirm` looks in a row that are all better, or all worse, make another state.

    Where these differ, as when something is slow and away by turns, the state nearest to the last verdict is what all of them agree on.
    The first look at a subject is believed, and of what is starting any that is better. Within a state the newest reason counts, and `since` stays.
    """
    if held is None:
        return _newly(check, finding, at, starting=finding.state != State.HEALTHY)
    now, other, looks = held.verdict.state.rank, finding, 1
    if finding.state.rank == now:
        return _newly(check, finding, held.verdict.since, held.starting)
    if held.starting and finding.state.rank < now:
        return _newly(check, finding, at, starting=finding.state != State.HEALTHY)
    if held.other and (held.other.state.rank < now) == (finding.state.rank < now):
        other = min(finding, held.other, key=lambda one: abs(one.state.rank - now))
        looks = held.looks + 1
    return _newly(check, other, at, held.starting) if looks >= confirm else replace(held, other=other, looks=looks)


def _newly(check: str, finding: Finding, since: float, starting: bool) -> Held:
    verdict = Verdict(check, finding.subject, finding.state, since, finding.why, finding.cure, finding.vital)
    return Held(verdict, starting=starting)


def worst(verdicts: Iterable[Verdict | Finding]) -> State:
    """Return the state of the whole: that of its worst part."""
    return max((one.state for one in verdicts), key=lambda state: state.rank, default=State.HEALTHY)


def is_ready(verdicts: Iterable[Verdict]) -> bool:
    """Return whether tasks can run: nothing vital fails."""
    return not any(one.vital and one.state.fails for one in verdicts)


def worst_first(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return verdicts in the order in which they are read."""
    return sorted(verdicts, key=lambda one: (-one.state.rank, one.check, one.subject))


def report(verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """Return verdicts as programs get them: the state of the whole, whether it is ready, then each, the worst first."""
    found = worst_first(verdicts)
    shown = [one.as_dict() | {"since": datetime.fromtimestamp(one.since, UTC).isoformat()} for one in found]
    return {"state": str(worst(found)), "ready": is_ready(found), "verdicts": shown}
