"""Runs in: controller, airflow-init, the command line, and Dags that define guards; pure: what config/limits.yaml may say, as rows of `kit.guard`."""

import re
from typing import Annotated, Any, Literal
from unicodedata import category

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from airflow_celery_kit.core.amounts import amount
from airflow_celery_kit.core.guards.patterns import expression
from airflow_celery_kit.core.guards.rate import usual_burst
from airflow_celery_kit.core.routing import NAME, OWN, listed, seconds

METRICS = ("workers", "worker_slots", "database_connections_left")
PERIODS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# What a dot in a name would be, a scope that was suspended by hand has as a colon.
CONF = r"conf\.([A-Za-z_][A-Za-z0-9_]{0,99})"


def _rate(text: Any) -> tuple[int, float]:
    number, unit = amount(text, PERIODS, 6, "is no rate: write 5/s, 200/m, 1000/h or 1/d", between="/")
    return number, PERIODS[unit]


def _per(text: Any) -> str:
    if found := re.fullmatch(CONF, str(text)):
        return f"conf:{found[1]}"
    if text not in ("user", "dag", "task", "run", "pool", "queue"):
        raise ValueError(f"{text!r} is nothing to count by: write user, dag, task, run, pool, queue or conf.KEY")
    return str(text)


def _start(text: Any) -> str:
    if not (found := re.fullmatch(CONF, str(text))):
        raise ValueError(f"{text!r} is no start: write conf.KEY, where a run's configuration says when")
    return found[1]


def _source(text: Any) -> str:
    if text not in METRICS and not re.fullmatch(OWN, str(text)):
        raise ValueError(
            f"{text!r} decides nothing: write {', '.join(METRICS)} or a function of your own, module.function"
        )
    return str(text)


def _pattern(text: str) -> str:
    if odd := [one for one in text if category(one) in NO_LETTERS]:
        raise ValueError(f"{odd[0]!r} is no letter of a name: take it out")
    expression([text])
    return text


def _limit_name(name: str) -> str:
    if name == OWN_LIMIT:
        raise ValueError(
            f"{name!r} is what the kit itself calls tasks that have an earliest moment: choose another name"
        )
    return name


# Control characters, and halves of pairs.
NO_LETTERS = ("Cc", "Cs")
OWN_LIMIT = "start"
Name = Annotated[str, Field(pattern=f"^{NAME}$")]
LimitName = Annotated[Name, AfterValidator(_limit_name)]
Pattern = Annotated[str, AfterValidator(_pattern)]
Patterns = Annotated[list[Pattern], BeforeValidator(listed)]
Duration = Annotated[int, BeforeValidator(seconds)]
Number = Annotated[int, Field(ge=0, le=100_000, strict=True)]


class Part(BaseModel):
    """A part of the file; a word that is not known is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class When(Part):
    """Whom a guard is for: shell patterns of names, all that are given must fit."""

    dag: Patterns = []
    task: Patterns = []
    pool: Patterns = []
    queue: Patterns = []
    tag: Patterns = []

    def row(self) -> dict[str, Any]:
        """Return the columns."""
        return {f"{name}s": expression(getattr(self, name)) for name in ("dag", "task", "pool", "queue", "tag")}


class Guard(Part):
    """What limits and breakers have in common. Without `when` it is for tasks that name it."""

    when: When | None = None
    per: Annotated[str, BeforeValidator(_per)] = ""

    def common(self, kind: str, name: str, origin: str) -> dict[str, Any]:
        """Return the columns that both have."""
        rule = self.model_dump(mode="json", exclude_unset=True)
        known = {"id": f"{kind} {name}", "kind": kind, "name": name, "origin": origin, "rule": rule, "token": self.per}
        return known | (self.when or When()).row() | {"named": self.when is None}


class Range(Part):
    """Slots between two numbers, decided by a metric or a function of the user's own."""

    low: Number
    high: Number
    by: Annotated[str, BeforeValidator(_source)]

    @model_validator(mode="after")
    def check(self) -> "Range":
        """Refuse a range that is none."""
        if self.low > self.high:
            raise ValueError(f"low is {self.low} and high {self.high}: swap them")
        return self


Slots = Annotated[
    Annotated[Number, Tag("number")] | Annotated[Range, Tag("range")],
    Discriminator(lambda given: "range" if isinstance(given, dict | Range) else "number"),
]


class Limit(Guard):
    """How many tasks may be under way, how many may begin in a time, when they may begin."""

    slots: Slots | None = None
    rate: Annotated[tuple[int, float], BeforeValidator(_rate)] | None = None
    burst: Annotated[int, Field(ge=1)] | None = None
    per_worker: bool = False
    start: Annotated[str, BeforeValidator(_start)] | None = None

    @model_validator(mode="after")
    def check(self) -> "Limit":
        """Refuse a limit that limits nothing, and words that belong to a rate where there is none."""
        if self.slots is None and not self.rate and not self.start:
            raise ValueError("it limits nothing: add slots, rate or start")
        if not self.rate and (self.burst or self.per_worker):
            raise ValueError("burst and per_worker belong to a rate: add rate: 200/m")
        if self.rate and (self.burst or 1) > self.rate[0]:
            raise ValueError(f"burst is more than the rate: write {self.rate[0]} or less")
        if self.per_worker and self.per:
            raise ValueError("a rate of each worker is counted by queue: leave out per")
        return self

    def row(self, name: str, origin: str = "file") -> dict[str, Any]:
        """Return the limit as the database keeps it."""
        number, period = self.rate or (None, None)
        ranged = self.slots if isinstance(self.slots, Range) else None
        return self.common("limit", name, origin) | {
            "token": "queue" if self.per_worker else self.per,
            "slots": None if ranged else self.slots,
            "low": ranged and ranged.low, "high": ranged and ranged.high, "source": ranged and ranged.by,
            "rate": number, "period": period, "per_worker": self.per_worker, "start_conf": self.start,
            "burst": (self.burst or usual_burst(number, period or 1)) if number else None,
        }  # fmt: skip


class Health(Part):
    """How many verdicts of a check in a time open a breaker."""

    check: Name
    within: Duration = 10
    degraded: Annotated[int, Field(ge=1)] | None = None
    insecure: Annotated[int, Field(ge=1)] | None = None
    unhealthy: Annotated[int, Field(ge=1)] | None = None
    permanently_unavailable: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def complete(self) -> "Health":
        """Refuse one that no verdict opens."""
        if not any((self.degraded, self.insecure, self.unhealthy, self.permanently_unavailable)):
            raise ValueError("no verdict opens it: add unhealthy: 2, degraded: 10, insecure or permanently_unavailable")
        return self


class Breaker(Guard):
    """After what it opens, for how long, and what tasks do meanwhile."""

    failures: Number = 3
    within: Duration = 60
    health: Health | None = None
    open: Duration = 30
    growth: Literal["constant", "linear", "exponential"] = "constant"
    most: Duration | None = None
    on_open: Literal["wait", "fail"] = "wait"

    @model_validator(mode="after")
    def check(self) -> "Breaker":
        """Refuse one that cannot be meant."""
        if self.most is not None and self.most < self.open:
            raise ValueError("most is shorter than open: write the longest time that it stays open")
        if self.health and self.per:
            raise ValueError("a health check is one for all: leave out per, or health")
        return self

    def row(self, name: str, origin: str = "file") -> dict[str, Any]:
        """Return the breaker as the database keeps it."""
        health = self.health.model_dump(exclude_none=True, exclude={"check"}) if self.health else None
        most = self.most or (self.open if self.growth == "constant" else max(600, self.open))
        return self.common("breaker", name, origin) | {
            "failures": self.failures, "failures_within": self.within, "check_name": self.health and self.health.check,
            "health": health, "open_for": self.open, "growth": self.growth, "open_most": most, "on_open": self.on_open,
        }  # fmt: skip


class Rules(Part):
    """The whole file."""

    limits: dict[LimitName, Limit] = {}
    breakers: dict[Name, Breaker] = {}

    def rows(self) -> list[dict[str, Any]]:
        """Return everything as rows of `kit.guard`, in the order of their ids."""
        rows = [limit.row(name) for name, limit in self.limits.items()]
        return sorted(rows + [breaker.row(name) for name, breaker in self.breakers.items()], key=lambda row: row["id"])
