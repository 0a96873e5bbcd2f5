"""Runs in: airflow-apiserver; limits and breakers, as `guards/told.sql` tells of them, and what was done to one."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from airflow_celery_kit.api.answers.fields import said, when

Origin = Literal["file", "dag", "hand"]


class LimitToken(BaseModel):
    """What a limit holds of one of the things that it is counted by."""

    token: str = said("The user, Dag, task, run, pool, queue or value; empty for a limit that is one for all.")
    taken: int = said("How many tasks it has let in that have not ended.")
    waiting: int = said("How many tasks it keeps out.")


class Suspension(BaseModel):
    """Who lets nothing of a limit begin, and why."""

    who: str = said("The user.")
    reason: str = said("The reason that was given.")
    at: datetime = when("Since when")


class Limit(BaseModel):
    """A limit, what it holds and what waits for it."""

    name: str = said("Its name; a scope such as `dag:sales` for what was suspended and has no limit of its own.")
    origin: Origin = said("Who made it: `config/limits.yaml`, a Dag, or an operator who suspended what had none.")
    rule: dict[str, Any] = said("Its words, as the file or the Dag has them; only those that are given.")
    slots: int | None = said("How many tasks may be under way at once, for each token; null where that is not limited.")
    rate: int | None = said("How many tasks may begin in each `period`; null where that is not limited.")
    period: float | None = said("The time of the rate, in seconds; null where there is no rate.")
    per_worker: bool | None = said("Whether the rate is one for each live worker; null where nobody says.")
    problem: str | None = said(
        "Why a range keeps its last value, empty where it does not; null where nothing decides about its slots."
    )
    suspended: Suspension | None = said("Who suspended it; null where nobody did.")
    tokens: list[LimitToken] = said("What it holds and keeps out by token; only those for which there is something.")


class Faults(BaseModel):
    """Mistakes of the guards themselves within a week; each let its task in."""

    count: int = said("How many.")
    at: datetime | None = when("When the last one was, null where there is none")
    last: str | None = said("What the last one was; null where there is none.")


class LimitsFile(BaseModel):
    """How `config/limits.yaml` was when the controller read it last."""

    problem: str = said("What is wrong with it, empty where nothing is; what was in force before stays so.")
    at: datetime | None = when("Since when that is so, null where no controller has read it")


class UnknownCheck(BaseModel):
    """A breaker that no verdict opens, because nobody makes the health check that it goes by."""

    breaker: str = said("The breaker's name.")
    check: str = said("The check that it names.")
    origin: Origin = said("Who made the breaker: `config/limits.yaml` or a Dag.")


class Limits(BaseModel):
    """Every limit, and what is wrong with the rules of limits and breakers."""

    limits: list[Limit] = said("Each, by name.")
    unknown: list[str] = said("Names of limits that tasks of Dags use and nobody defines; these limit nothing.")
    checks: list[str] | None = said(
        "Names of the health checks that the leading controller makes; null where none has said."
    )
    unknown_checks: list[UnknownCheck] = said("Breakers that go by none of these.")
    faults: Faults = said("Mistakes of the guards themselves.")
    file: LimitsFile = said("The file.")


class Breaker(BaseModel):
    """A breaker, or one of its tokens where it is counted by something."""

    name: str = said("Its name.")
    origin: Origin = said("Who made it: `config/limits.yaml` or a Dag.")
    rule: dict[str, Any] = said("Its words, as the file or the Dag has them; only those that are given.")
    token: str = said("The user, Dag, task, run, pool, queue or value; empty for a breaker that is one for all.")
    state: Literal["closed", "open", "half-open"] = said("What it does: lets in, keeps out, lets one task try it out.")
    reason: str | None = said("Why it changed last, empty where it never did; null where no task has met it.")
    who: str | None = said("Who changed it last by hand; null where nobody did.")
    since: datetime | None = when("Since when it is in this state, null where no task has met it")
    until: datetime | None = when("Until when it stays open, null where it is not open or stays so until it is reset")
    openings: int = said("How many times in a row it has opened without having closed.")
    probe: UUID | None = said("The attempt that tries it out; null where none does.")
    failures: int = said("How many failures count towards its next opening.")
    level: Literal["warning", "error"] = said("How loud its next opening is in the log.")
    taken: int = said("How many tasks it has let in that have not ended.")
    waiting: int = said("How many tasks it keeps out.")


class Breakers(BaseModel):
    """Breakers, by name and token."""

    breakers: list[Breaker] = said("Each; one that is counted by something once for each token that it has met.")


class Waits(BaseModel):
    """What keeps a task out."""

    waits_for: str | None = said("The limit or breaker and why, in one sentence; null where none keeps it out.")
    since: datetime | None = when("Since when, null where none keeps it out")


class OfLimit(BaseModel):
    """Which limit something was done to."""

    limit: str = said("Its name.")


class LimitSuspended(OfLimit):
    """Nothing of a limit begins."""

    suspended: bool = said("That it is suspended: true.")
    taken_back: int = said("How many tasks were to be sent, or waited in the broker, and wait in Airflow now.")


class LimitResumed(OfLimit):
    """What waits for a limit may begin."""

    suspended: bool = said("That it is suspended no more: false.")
    waiting: int = said("How many tasks waited for it.")


class BreakerChanged(BaseModel):
    """A breaker was opened or closed by hand."""

    breaker: str = said("Its name.")
    token: str = said("Which of its tokens; empty for a breaker that is one for all.")
    state: Literal["open", "closed"] = said("What it is now.")
