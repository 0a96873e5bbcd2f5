"""Runs in: airflow-controller; reads what waits from the metadata database and writes the weights that policies give it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any, NamedTuple

from psycopg2.extras import execute_values

from airflow_celery_kit.controller.database import Fence
from airflow_celery_kit.core.ordering.policy import Waiting
from airflow_celery_kit.core.routing import TAG, Choice, Facts, Routing, RoutingError

# Of more than these only those that wait longest are weighed.
MOST = 20_000
# Rows that are locked at once: the scheduler leaves them to its next loop meanwhile.
BATCH = 500

READ = files("airflow_celery_kit.controller").joinpath("waiting.sql").read_text
# Also after the last Dag has gone back to weights that stay, until what was given is taken back.
CONCERNED = "SELECT EXISTS (SELECT 1 FROM dag_tag WHERE name LIKE %(prefix)s) OR EXISTS (SELECT 1 FROM kit.base_weight)"
# A row that the scheduler has in hand is left to the next look.
WEIGH = """
UPDATE task_instance SET priority_weight = given.weight
FROM (VALUES %s) AS given (id, weight)
WHERE task_instance.id = given.id::uuid AND task_instance.id IN (
    SELECT id FROM task_instance WHERE id = given.id::uuid AND state IN ('scheduled', 'queued') FOR UPDATE SKIP LOCKED
)
RETURNING task_instance.id::text
"""
KEEP = """
INSERT INTO kit.base_weight (dag_id, run_id, task_id, map_index, base, given) VALUES %s
ON CONFLICT (dag_id, run_id, task_id, map_index) DO UPDATE SET base = excluded.base, given = excluded.given
"""
# A retry, a deferral and a sensor between two looks wait again, with what they were given; a retry under another id.
FORGET = """
DELETE FROM kit.base_weight weight WHERE NOT EXISTS (
    SELECT 1 FROM task_instance ti
    WHERE ti.dag_id = weight.dag_id AND ti.run_id = weight.run_id AND ti.task_id = weight.task_id AND ti.map_index = weight.map_index
      AND (ti.state IS NULL OR ti.state NOT IN ('success', 'failed', 'skipped', 'upstream_failed', 'removed')))
"""
# A run that waits for its turn, or a Dag that is paused, is not due.
DUE = """
SELECT ti.queue, count(*), round(extract(epoch FROM clock_timestamp() - min(ti.scheduled_dttm)), 3)::float8
FROM task_instance ti
JOIN dag ON dag.dag_id = ti.dag_id
JOIN dag_run run ON run.dag_id = ti.dag_id AND run.run_id = ti.run_id
WHERE ti.state = 'scheduled' AND run.state = 'running' AND NOT dag.is_paused
GROUP BY ti.queue
"""


class Due(NamedTuple):
    """What is due for a queue and not sent yet: how many tasks, and for how many seconds the first of them."""

    tasks: int
    oldest_seconds: float | None


def due(connection: Any) -> dict[str, Due]:
    """Return what waits in Airflow by queue: for a slot of its pool, or below a limit of its Dag. Raises psycopg2.Error."""
    with connection, connection.cursor() as cursor:
        cursor.execute(DUE)
        return {queue: Due(tasks, oldest) for queue, tasks, oldest in cursor.fetchall()}


def are_concerned(connection: Any) -> bool:
    """Return whether any Dag has a tag of the kit's, or any task a weight from it. Raises psycopg2.Error."""
    with connection, connection.cursor() as cursor:
        cursor.execute(CONCERNED, {"prefix": f"{TAG}%"})
        return bool(cursor.fetchone()[0])


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


def write(weights: Mapping[str, int], tasks: Mapping[str, Waiting], fence: Fence) -> set[str]:
    """Give task instances, by id, their weights, and keep what they were created with; return the ids of those that still waited.

    Raises LeaseLostError from the fence and psycopg2.Error; then what follows in BATCHes was not changed.
    """
    rows = list(weights.items())
    changed: set[str] = set()
    for begin in range(0, len(rows), BATCH):
        with fence() as cursor:
            changed |= _write(cursor, dict(rows[begin : begin + BATCH]), tasks)
    return changed


def _write(cursor: Any, weights: Mapping[str, int], tasks: Mapping[str, Waiting]) -> set[str]:
    rows = execute_values(cursor, WEIGH, list(weights.items()), page_size=BATCH, fetch=True)
    changed = {one for (one,) in rows}
    kept = [
        (task.dag_id, task.run_id, task.task_id, task.map_index, task.base, weights[task.id])
        for task in map(tasks.__getitem__, changed)
    ]
    if kept:
        execute_values(cursor, KEEP, kept, page_size=BATCH)
    return changed


def forget(connection: Any) -> None:
    """Drop the weights of task instances that are done. Raises psycopg2.Error."""
    with connection, connection.cursor() as cursor:
        cursor.execute(FORGET)
