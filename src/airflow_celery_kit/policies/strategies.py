"""Runs in: scheduler and api-server, which compute weights; in the Dag processor and in task processes, which name strategies.

Airflow asks a strategy once, when it creates, clears or expands a task instance, with one that may have nothing but its task.
"""

from typing import Any

from airflow.task.priority_strategy import PriorityWeightStrategy

from airflow_celery_kit.core import priorities


class FinishFirst(PriorityWeightStrategy):
    """What is nearly done is done first: the fewer tasks of its workflow come after a task, the sooner it runs."""

    def get_weight(self, ti: Any) -> int:
        """Return the weight of a task instance."""
        return priorities.finish_first(ti.task.priority_weight, len(ti.task.get_flat_relative_ids(upstream=False)))
