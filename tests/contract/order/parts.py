"""Runs in: contract tests; what the tests of the order of work have in common."""

import json

from airflow_celery_kit.controller.broker import Broker
from airflow_celery_kit.controller.database import transaction
from airflow_celery_kit.controller.ordering import Ordering
from airflow_celery_kit.core.routing_file import parse

TASK = """
INSERT INTO task_instance (dag_id, run_id, task_id, map_index, state, external_executor_id, queue, operator, custom_operator_name,
                           priority_weight, scheduled_dttm, queued_dttm)
VALUES ('sales', 'r1', %s, -1, %s, %s, 'default', '_PythonDecoratedOperator', '@task', %s, now() - %s * interval '1 s', now())
"""
WEIGHTS = "SELECT task_id, priority_weight FROM task_instance ORDER BY task_id"


def fence(connection):
    """A transaction that no lease guards."""
    return lambda: transaction(connection)


def publish(app, priority: int, *messages: str) -> None:
    """Send messages of one step, in this order."""
    for message in messages:
        app.send_task("execute_workload", task_id=message, queue="default", priority=priority)


def in_step(found: Broker, step: int) -> list[str]:
    """The ids in one step, the next to be taken first."""
    key = f"default\x06\x16{step}" if step else "default"
    return [json.loads(raw)["headers"]["id"] for raw in reversed(found.client.lrange(key, 0, -1))]


class Here:
    """The connections of one look."""

    def __init__(self, metadata, found) -> None:
        self.metadata, self.broker = metadata, found


def loop(policy: str, rules: str = "", ahead: float | None = None) -> tuple[Ordering, list[tuple]]:
    """The controller's loop, and what it says."""
    said: list[tuple] = []
    return Ordering(parse(rules), policy, 600.0, ahead, lambda event, **facts: said.append((event, facts))), said
