"""Runs in: Dag processor and task processes, imported by Dags; what a task says of limits and breakers, for the database to heed.

It is written into the task's `executor_config`, which the stored Dag has, and which is in force with it: before any task can be scheduled.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

Decorated = TypeVar("Decorated")


def guarded(
    limit: Any = None, breaker: Any = None, start: datetime | None = None, start_conf: str | None = None
) -> Callable[[Decorated], Decorated]:
    """Have a task heed limits and breakers. Stands above `@task`, or is called with an operator: `guarded(limit="crm-db")(operator)`.

    `limit` and `breaker` are names, or dictionaries with a `name` and the words of config/limits.yaml, which comes first where both define
    one; or lists of these. `start` is the earliest moment, `start_conf` the key of a run's configuration that holds one. Raises
    ValueError for what config/limits.yaml would not take either.
    """
    said = kit_config(limit, breaker, start, start_conf)

    def decorate(what: Decorated) -> Decorated:
        # A decorated function keeps what its operator is made with; an operator has it.
        kept: Any = getattr(what, "kwargs", None)
        if isinstance(kept, dict):
            kept["executor_config"] = {**(kept.get("executor_config") or {}), "kit": said}
        else:
            task: Any = getattr(what, "operator", what)
            task.executor_config = {**(task.executor_config or {}), "kit": said}
        return what

    return decorate


def kit_config(
    limit: Any = None, breaker: Any = None, start: datetime | None = None, start_conf: str | None = None
) -> dict[str, Any]:
    """Return what stands in `executor_config` below `kit`, for those who write it there by themselves. Raises ValueError."""
    found: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    for kind, given in (("limit", limit), ("breaker", breaker)):
        several = given if isinstance(given, list) else [given] if given else []
        found[kind] = [one if isinstance(one, str) else one["name"] for one in several]
        rows += [row_of(kind, one) for one in several if isinstance(one, dict) and len(one) > 1]
    if rows:
        found["define"] = rows
    if start:
        if start.tzinfo is None:
            raise ValueError(f"start {start} has no time zone: write one, or nobody knows which moment is meant")
        found["start"] = start.isoformat()
    if start_conf:
        found["start_conf"] = start_conf
    return found


def row_of(kind: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return a guard that is defined by the way. Raises ValueError."""
    from pydantic import ValidationError

    from airflow_celery_kit.core.guards.rules import Breaker, Limit, Rules
    from airflow_celery_kit.core.routing import first

    words = {name: value for name, value in given.items() if name != "name"}
    try:
        rules = Rules.model_validate({f"{kind}s": {given["name"]: words}})
    except ValidationError as problem:
        place, reason = first(problem)
        raise ValueError(f"{kind} {given['name']}: {'.'.join(map(str, place[2:]))}: {reason}") from problem
    made: Limit | Breaker = (rules.limits if kind == "limit" else rules.breakers)[given["name"]]
    return made.row(given["name"], "dag") | {"named": True}
