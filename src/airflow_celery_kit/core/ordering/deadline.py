"""Runs in: airflow-controller; pure: least slack first."""

from airflow_celery_kit.core.ordering.policy import Policy, Situation, Waiting, rounded
from airflow_celery_kit.core.priorities import MOST_URGENT

# With this much slack, in seconds, a task is one step behind those that have none; with 3, 7, 15 times as much two, three, four.
FIRST_SECONDS = 15.0
# What has no deadline waits behind all whose slack is below four minutes.
NO_DEADLINE = 4


class Deadline(Policy):
    """A task's slack is the time to its run's deadline, less what the run took from this task on to its end, or else what the task took."""

    def weigh(self, task: Waiting, situation: Situation) -> int:
        """Return a weight that falls with the slack; without a deadline the task's own, some steps later."""
        if task.deadline is None:
            return task.base >> NO_DEADLINE
        slack = task.deadline - (task.remaining or task.expected or 0.0)
        return rounded(MOST_URGENT / (1 + slack / FIRST_SECONDS)) if slack > 0 else rounded(2 * MOST_URGENT - slack)
