"""Runs in: airflow-controller; pure: short work first, by what the last runs took."""

from airflow_celery_kit.core.ordering.policy import OVERDUE, Policy, Situation, Waiting, rounded
from airflow_celery_kit.core.priorities import MOST_URGENT

# A task that has never succeeded, in seconds.
UNKNOWN_SECONDS = 30.0
# The weight of what is overdue changes so often in the time of half of the bound, not at every look.
ROUNDS = 10


class FastAndHeavy(Policy):
    """Fast tasks pass heavy ones; what took 1, 3, 7, 15 s is one, two, three, four steps later. What waits for half of the bound goes first."""

    def weigh(self, task: Waiting, situation: Situation) -> int:
        """Return a weight that falls with the expected duration."""
        if (age := task.waited / (situation.bound / 2)) >= 1:
            return OVERDUE + int(age * ROUNDS)
        expected = UNKNOWN_SECONDS if task.expected is None else task.expected
        return rounded(MOST_URGENT / (1 + expected))
