"""Runs in: airflow-controller; what tasks took when they ran last, asked for once a minute."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_celery_kit.core.ordering.policy import Waiting

KEPT_SECONDS = 60.0
LAST_RUNS = 20
EXPECTED = """
SELECT asked.dag_id, asked.task_id, (
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY duration) FROM (
        SELECT duration FROM task_instance ti
        WHERE ti.dag_id = asked.dag_id AND ti.task_id = asked.task_id AND ti.state = 'success' AND duration IS NOT NULL
        ORDER BY ti.end_date DESC LIMIT %(runs)s
    ) last
) FROM unnest(%(dags)s::text[], %(tasks)s::text[]) AS asked (dag_id, task_id)
"""

Key = tuple[str, str]


@dataclass
class Durations:
    """The median of the last successful runs by Dag and task, in seconds, None where there was none."""

    known: dict[Key, float | None] = field(default_factory=dict)
    since: float = 0.0

    def of(self, tasks: Sequence[Waiting], connection: Any, now: float) -> list[Waiting]:
        """Return the tasks with what is expected of them. `now` is steady, in seconds. Raises psycopg2.Error."""
        if now - self.since > KEPT_SECONDS:
            self.known, self.since = {}, now
        if unknown := {(task.dag_id, task.task_id) for task in tasks} - self.known.keys():
            # Should asking fail, it is not asked again before its time.
            self.known |= dict.fromkeys(unknown)
            self.known |= ask(connection, sorted(unknown))
        return [replace(task, expected=self.known[task.dag_id, task.task_id]) for task in tasks]


def ask(connection: Any, keys: Sequence[Key]) -> dict[Key, float | None]:
    """Return the medians of these Dags' tasks. Raises psycopg2.Error."""
    values = {"runs": LAST_RUNS, "dags": [dag for dag, _ in keys], "tasks": [task for _, task in keys]}
    with connection, connection.cursor() as cursor:
        cursor.execute(EXPECTED, values)
        return {(dag, task): seconds for dag, task, seconds in cursor.fetchall()}
