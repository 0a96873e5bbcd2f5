"""Runs in: airflow-apiserver; pure: what an operator suspends that has no limit of its own, as a row of `kit.guard`."""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from airflow_celery_kit.core.guards.rules import Limit
from airflow_celery_kit.core.routing import first
from airflow_celery_kit.core.words import missing

# The name of what is there; of a task all Dags that it may be of, for their ids may hold dots, and so may its own. Of queues nobody knows all.
THERE = {
    "dag": "SELECT dag_id FROM dag WHERE dag_id = :name",
    "pool": "SELECT pool FROM slot_pool WHERE pool = :name",
    "task": "SELECT array_agg(dag_id ORDER BY length(dag_id) DESC) FROM dag WHERE starts_with(:name, dag_id || '.')",
    "queue": "SELECT CAST(:name AS text)",
}

# The tasks of a Dag's last versions, which runs under way may have; null where one is stored compressed.
TASKS = """
SELECT array_agg(DISTINCT task #>> '{__var,task_id}') FILTER (WHERE task IS NOT NULL) FROM (
    SELECT CAST(data AS jsonb) AS data FROM serialized_dag WHERE dag_id = :name ORDER BY last_updated DESC LIMIT 10
) AS latest LEFT JOIN LATERAL jsonb_array_elements(data #> '{dag,tasks}') AS task ON true HAVING bool_and(data IS NOT NULL)
"""


class ScopeError(ValueError):
    """It is neither a limit nor a scope that is there; the text says what to write."""


def scope(name: str, there: Callable[[str, str], Any]) -> dict[str, Any]:
    """Return the limit of a scope such as `dag:sales`; `there` asks one of THERE for a name, and TASKS. Raises ScopeError."""
    kind, _, value = name.partition(":")
    if kind not in THERE or not value:
        raise ScopeError(
            f"there is no limit {name}: write the name of one, or dag:ID, task:DAG.TASK, pool:NAME, queue:NAME"
        )
    found = there(THERE[kind], value)
    if found is None:
        raise ScopeError(f"there is no {kind} {value}")
    names = of_task(value, found, there) if kind == "task" else {kind: found}
    when = {what: literal(one) for what, one in names.items()}
    try:
        return Limit.model_validate({"slots": 0, "when": when}).row(name, "hand")
    except ValidationError as problem:
        raise ScopeError(f"{name!r} cannot be suspended: {first(problem)[1]}") from problem


def of_task(name: str, dags: list[str], there: Callable[[str, str], Any]) -> dict[str, str]:
    """Return the Dag and task of `DAG.TASK`: the first of `dags`, the longest first, that has it. Raises ScopeError where none has."""
    problems = []
    for dag in dags:
        task, known = name[len(dag) + 1 :], there(TASKS, dag)
        if not known or task in known:
            return {"dag": dag, "task": task}
        problems.append(f"in Dag {dag} {missing('task', task, known, '')}")
    raise ScopeError(problems[0])


def literal(name: str) -> str:
    """Return a shell pattern that fits one name."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
