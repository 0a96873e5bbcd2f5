"""Runs in: airflow-controller; pure: nothing waits for ever."""

from airflow_celery_kit.core.ordering.policy import OVERDUE, Policy, Situation, Waiting
from airflow_celery_kit.core.priorities import LAST, step, weight_of

# So many rounds of the same length pass until the bound; the last half is for what runs in the slots.
ROUNDS = 10


class Aging(Policy):
    """Finish-first, but a task rises evenly while it waits: at half of the bound it goes before everything else."""

    needs_durations = False

    def weigh(self, task: Waiting, situation: Situation) -> int:
        """Return its own weight, or that of the step it has risen to."""
        age = task.waited / (situation.bound / 2)
        if age >= 1:
            return max(task.base, OVERDUE + int(age * ROUNDS))
        risen = step(task.base) - int(age * ROUNDS)
        return max(task.base, weight_of(max(LAST, risen))) if age * ROUNDS >= 1 else task.base
