"""Runs in: airflow-controller; what tasks took when they ran last, asked for once a minute, of new ones every ten seconds."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from airflow_celery_kit.core.ordering.policy import Waiting

KEPT_SECONDS = 60.0
# What has not succeeded yet may do so for the first time at any moment.
UNKNOWN_SECONDS = 10.0
LAST_RUNS = 20
EXPECTED = """
SELECT asked.dag_id, asked.task_id, median.expected, median.remaining
FROM unnest(%(dags)s::text[], %(tasks)s::text[]) AS asked (dag_id, task_id)
CROSS JOIN LATERAL (
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY duration) AS expected,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY remaining) AS remaining
    FROM (
        SELECT ti.duration, extract(epoch FROM run.end_date - ti.start_date)::float8 AS remaining
        FROM task_instance ti LEFT JOIN dag_run run ON run.dag_id = ti.dag_id AND run.run_id = ti.run_id
        WHERE ti.dag_id = asked.dag_id AND ti.task_id = asked.task_id AND ti.state = 'success' AND ti.duration IS NOT NULL
        ORDER BY ti.end_date DESC LIMIT %(runs)s
    ) last
) median
"""

Key = tuple[str, str]


class Took(NamedTuple):
    """Seconds that a task takes, and from its start to the end of its run; None where nothing is known."""

    expected: float | None = None
    remaining: float | None = None


@dataclass
class Durations:
    """The medians of the last successful runs by Dag and task."""

    known: dict[Key, Took] = field(default_factory=dict)
    since: float = 0.0
    asked: float = 0.0

    def of(self, tasks: Sequence[Waiting], connection: Any, now: float) -> list[Waiting]:
        """Return the tasks with what is expected of them. `now` is steady, in seconds. Raises psycopg2.Error."""
        if now - self.since > KEPT_SECONDS:
            self.known, self.since = {}, now
        again = now - self.asked > UNKNOWN_SECONDS
        keys = {(task.dag_id, task.task_id) for task in tasks}
        if unknown := {key for key in keys if key not in self.known or (again and self.known[key] == Took())}:
            if again:
                self.asked = now
            # Should asking fail, it is not asked again before its time.
            self.known |= dict.fromkeys(unknown, Took())
            self.known |= ask(connection, sorted(unknown))
        return [replace(task, **self.known[task.dag_id, task.task_id]._asdict()) for task in tasks]


def ask(connection: Any, keys: Sequence[Key]) -> dict[Key, Took]:
    """Return the medians of these Dags' tasks. Raises psycopg2.Error."""
    values = {"runs": LAST_RUNS, "dags": [dag for dag, _ in keys], "tasks": [task for _, task in keys]}
    with connection, connection.cursor() as cursor:
        cursor.execute(EXPECTED, values)
        return {(dag, task): Took(*seconds) for dag, task, *seconds in cursor.fetchall()}
