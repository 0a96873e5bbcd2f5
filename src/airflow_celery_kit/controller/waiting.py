"""Runs in: airflow-controller; reads what waits from the metadata database and writes the weights that policies give it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any

from psycopg2.extras import execute_values

from airflow_celery_kit.controller.database import Fence
from airflow_celery_kit.core.ordering.policy import Waiting
from airflow_celery_kit.core.routing import TAG, Choice, Facts, Routing, RoutingError

# Who waits longest is weighed; whoever comes behind so many is weighed when his turn is nearer.
MOST = 5000
# Runs that say how long a task takes.
LAST_RUNS = 20

READ = files("airflow_celery_kit.controller").joinpath("waiting.sql").read_text
TAGGED = "SELECT 1 FROM dag_tag WHERE name LIKE %(prefix)s LIMIT 1"
EXPECTED = """
SELECT asked.dag_id, asked.task_id, (
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY duration) FROM (
        SELECT duration FROM task_instance ti
        WHERE ti.dag_id = asked.dag_id AND ti.task_id = asked.task_id AND ti.state = 'success'
        ORDER BY ti.run_id DESC LIMIT %(runs)s
    ) last
) FROM unnest(%(dags)s::text[], %(tasks)s::text[]) AS asked (dag_id, task_id)
"""
# A row that the scheduler has in hand is left to the next look.
WEIGH = """
UPDATE task_instance SET priority_weight = given.weight
FROM (VALUES %s) AS given (id, weight)
WHERE task_instance.id IN (
    SELECT id FROM task_instance WHERE id = given.id::uuid AND state IN ('scheduled', 'queued') FOR UPDATE SKIP LOCKED
)
RETURNING task_instance.id::text
"""
KEEP = """
INSERT INTO kit.weight (task_instance, base, given) VALUES %s
ON CONFLICT (task_instance) DO UPDATE SET base = excluded.base, given = excluded.given
"""
FORGET = """
DELETE FROM kit.weight WHERE NOT EXISTS (
    SELECT 1 FROM task_instance WHERE id = weight.task_instance AND state IN ('scheduled', 'queued'))
"""


def are_tagged(connection: Any) -> bool:
    """Return whether any Dag has a tag of the kit's. Raises psycopg2.Error."""
    with connection, connection.cursor() as cursor:
        cursor.execute(TAGGED, {"prefix": f"{TAG}%"})
        return cursor.fetchone() is not None


def read(connection: Any) -> list[Waiting]:
    """Return what waits, the longest wait first, MOST at most. Raises psycopg2.Error."""
    with connection, connection.cursor() as cursor:
        cursor.execute(READ(), {"most": MOST})
        return [_waiting(row) for row in cursor.fetchall()]


def _waiting(row: Sequence[Any]) -> Waiting:
    operator = tuple(filter(None, row[5:7]))
    return Waiting(*row[:5], operator, *row[7:14], deadline=row[14], tags=tuple(row[15]))


def chosen(tasks: Sequence[Waiting], routing: Routing, otherwise: str) -> dict[str, list[Waiting]]:
    """Return the tasks by policy, with class, kind and deadline as tags and rules say; a Dag's own deadline comes first."""
    found: dict[str, list[Waiting]] = {}
    choices: dict[Facts, Choice] = {}
    for task in tasks:
        facts = Facts(task.dag_id, task.task_id, task.operator, task.tags)
        choice = choices[facts] = choices.get(facts) or choose(routing, facts)
        left = task.deadline if choice.deadline is None or task.deadline is not None else choice.deadline - task.run_age
        known = replace(task, class_=choice.class_, kind=choice.kind, deadline=left)
        found.setdefault(choice.policy or otherwise, []).append(known)
    return found


def choose(routing: Routing, facts: Facts) -> Choice:
    """Return what is said of a task; nothing where a tag means nothing, which the Dag processor tells the Dag's author."""
    try:
        return routing.choose(facts)
    except RoutingError:
        return Choice()


def expected(connection: Any, tasks: Sequence[Waiting]) -> dict[tuple[str, str], float | None]:
    """Return by Dag and task how many seconds the median of the last successful runs took. Raises psycopg2.Error."""
    asked = sorted({(task.dag_id, task.task_id) for task in tasks})
    with connection, connection.cursor() as cursor:
        cursor.execute(
            EXPECTED, {"runs": LAST_RUNS, "dags": [dag for dag, _ in asked], "tasks": [task for _, task in asked]}
        )
        return {(dag, task): seconds for dag, task, seconds in cursor.fetchall()}


def write(weights: Mapping[str, int], bases: Mapping[str, int], fence: Fence) -> set[str]:
    """Give task instances their weights, keep what they were created with; return the ids of those that still waited.

    Raises LeaseLostError from the fence and psycopg2.Error; then nothing was changed.
    """
    with fence() as cursor:
        rows = execute_values(cursor, WEIGH, list(weights.items()), page_size=MOST, fetch=True)
        changed = {one for (one,) in rows}
        kept = [(one, bases[one], weights[one]) for one in changed]
        if kept:
            execute_values(cursor, KEEP, kept, template="(%s::uuid, %s, %s)", page_size=MOST)
    return changed


def forget(connection: Any) -> None:
    """Drop the weights of task instances that wait no more. Raises psycopg2.Error."""
    with connection, connection.cursor() as cursor:
        cursor.execute(FORGET)
