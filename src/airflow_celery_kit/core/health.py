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
    """What one look saw of one subject; `why` is a sentence, `cure` is empty where nothing is to be done."""

    subject: str
    state: State
    why: str
    cure: str = ""
    vital: bool = False


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
    """A verdict, and another state that was seen in the last looks, how often in a row."""

    verdict: Verdict
    other: State | None = None
    looks: int = 0


def judge(held: Held | None, check: str, finding: Finding, at: float, confirm: int) -> Held:
    """Return what holds after one more look at a subject: another state needs `confirm` looks in a row that all say it.

    The first look at a subject is believed. Within a state the newest reason counts, and `since` stays.
    """
    if held is None or finding.state == held.verdict.state:
        since = at if held is None else held.verdict.since
        return Held(Verdict(check, finding.subject, finding.state, since, finding.why, finding.cure, finding.vital))
    looks = held.looks + 1 if finding.state == held.other else 1
    if looks >= confirm:
        return judge(None, check, finding, at, confirm)
    return replace(held, other=finding.state, looks=looks)


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
