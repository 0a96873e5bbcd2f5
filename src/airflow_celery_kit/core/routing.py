"""Runs in: Dag processor, task processes and controller; pure: which queue, class, policy and deadline the rules of config/routing.yaml give a task.

Rules are read in order: each one that fits fills in what nothing before it has said. What an author wrote into the Dag comes first:
a queue, and tags of the Dag such as `kit:class:gold`, `kit:policy:deadline`, `kit:deadline:30m`, `kit:kind:io`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from airflow_celery_kit.core.amounts import amount

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"
BUILT_IN = ("airflow", "finish-first", "aging", "deadline", "class", "fast-and-heavy", "saturation")
# A class of the user's own, by module and name.
OWN = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+"
TAG = "kit:"
TAGS = ("class", "policy", "deadline", "kind")


class RoutingError(ValueError):
    """The rules cannot be used; the text names the line and says why."""


def seconds(text: str) -> int:
    """Return the seconds of a duration such as `90s`, `30m`, `2h` or `1d`. Raises ValueError."""
    number, unit = amount(text, UNITS, 7, "is no duration: write 90s, 30m, 2h or 1d")
    return number * UNITS[unit]


def _policy(name: str) -> str:
    if name not in BUILT_IN and not re.fullmatch(OWN, name):
        raise ValueError(
            f"{name!r} is no policy: choose {', '.join(BUILT_IN)} or name a class of your own, module.Class"
        )
    return name


def listed(value: Any) -> Any:
    """Return one text as a list of it."""
    return [value] if isinstance(value, str) else value


Duration = Annotated[int, BeforeValidator(seconds)]
PolicyName = Annotated[str, AfterValidator(_policy)]
Patterns = Annotated[list[str], BeforeValidator(listed)]
Named = Annotated[str, Field(pattern=f"^{NAME}$")]
Kind = Literal["io", "cpu"]


class Part(BaseModel):
    """A part of the file; a word that is not known is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class When(Part):
    """What a rule fits: shell patterns of names, all that are given must fit. `priority` is the least weight that the author gave."""

    dag: Patterns = []
    task: Patterns = []
    operator: Patterns = []
    tag: Patterns = []
    class_: Patterns = Field([], alias="class")
    priority: int | None = None


class Rule(Part):
    """What a task gets that fits `when`."""

    when: When = When()
    queue: Named | None = None
    policy: PolicyName | None = None
    class_: Named | None = Field(None, alias="class")
    deadline: Duration | None = None
    kind: Kind | None = None

    @model_validator(mode="after")
    def check(self) -> "Rule":
        """Refuse a rule that says nothing, and one that nobody can follow."""
        others = (self.policy, self.class_, self.deadline, self.kind)
        if not self.queue and not any(others):
            raise ValueError("the rule gives nothing: add queue, policy, class, deadline or kind")
        if self.when.priority is not None and any(others):
            raise ValueError("'priority' can choose a queue only: order is weighed again while a task waits")
        return self


class Routing(Part):
    """The whole file. `queues` have workers, `classes` are shares of the starts."""

    queues: list[Named] = ["default", "heavy"]
    classes: dict[Named, Annotated[int, Field(ge=1, le=1000)]] = {"gold": 6, "silver": 3, "bronze": 1}
    rules: list[Rule] = []

    def choose(self, task: "Facts") -> "Choice":
        """Return what the tags and rules say of a task. Raises RoutingError for a tag that means nothing."""
        said = self._tags(task)
        for rule in self.rules:
            if fits(rule.when, task, said.get("class_", "")):
                for name in ("queue", "policy", "class_", "deadline", "kind"):
                    if (value := getattr(rule, name)) is not None:
                        said.setdefault(name, value)
        return Choice(**said)

    def _tags(self, task: "Facts") -> dict[str, Any]:
        words = [tag.removeprefix(TAG).partition(":") for tag in task.tags if tag.startswith(TAG)]
        if unknown := [name for name, _, _ in words if name not in TAGS]:
            raise RoutingError(
                f"tag of Dag {task.dag}: {TAG}{unknown[0]} means nothing: choose among {', '.join(TAGS)}"
            )
        said = {name: value for name, _, value in words}
        try:
            found = Rule.model_validate(said) if said else None
        except ValidationError as problem:
            place, reason = first(problem)
            raise RoutingError(f"tag of Dag {task.dag}: {TAG}{place[0]}: {reason}") from problem
        if found and found.class_ and found.class_ not in self.classes:
            raise RoutingError(f"tag of Dag {task.dag}: no class {found.class_!r} in routing.yaml")
        return {
            name: value
            for name in ("policy", "class_", "deadline", "kind")
            if found and (value := getattr(found, name))
        }


@dataclass(frozen=True)
class Facts:
    """What is known of a task. `operator` holds its names: of the class and, for a decorator, as the UI shows it."""

    dag: str
    task: str
    operator: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    priority: int | None = None


@dataclass(frozen=True)
class Choice:
    """What is said of a task; empty where nothing is. `deadline` in seconds from the run's start."""

    queue: str = ""
    policy: str = ""
    class_: str = ""
    deadline: int | None = None
    kind: str = ""


def pool_of(queue: str) -> str:
    """Return the name of the pool that holds what runs and waits in a queue."""
    return f"queue_{queue}"


def fits(when: When, task: Facts, class_: str) -> bool:
    """Return whether a task is one that a rule is for; `class_` is what was said of it so far."""
    asked = (
        (when.dag, (task.dag,)), (when.task, (task.task,)), (when.operator, task.operator), (when.tag, task.tags), (when.class_, (class_,)),
    )  # fmt: skip
    if when.priority is not None and (task.priority is None or task.priority < when.priority):
        return False
    return all(not patterns or _any(patterns, names) for patterns, names in asked)


def _any(patterns: Iterable[str], names: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def first(problem: ValidationError) -> tuple[tuple[Any, ...], str]:
    """Return where the first mistake is and what it is."""
    return each(problem)[0]


def each(problem: ValidationError) -> list[tuple[tuple[Any, ...], str]]:
    """Return where each mistake is and what it is."""
    return [
        (
            error["loc"],
            "a word that is not known here"
            if error["type"] == "extra_forbidden"
            else error["msg"].removeprefix("Value error, "),
        )
        for error in problem.errors()
    ]
