"""Runs in: airflow-controller; pure: I/O-bound work while the CPUs are busy, CPU-bound work while they are not."""

from airflow_celery_kit.core.ordering.policy import Policy, Situation, Waiting, whole

# Shares of the CPUs of a queue's workers; between the two nobody is preferred.
BUSY, IDLE = 0.8, 0.5
# How many times the weight is greater for the preferred kind, and smaller for the other: two steps.
FACTOR = 4


class Saturation(Policy):
    """Keeps all of a machine in use: a task of the kind that is short at the moment comes two steps sooner, of the other two later."""

    needs_durations = False

    def weigh(self, task: Waiting, situation: Situation) -> int:
        """Return the task's own weight, greater or smaller by what its workers lack."""
        busy = situation.busy.get(task.queue)
        if busy is None or not task.kind or IDLE < busy < BUSY:
            return task.base
        wanted = "io" if busy >= BUSY else "cpu"
        return whole(task.base * FACTOR if task.kind == wanted else task.base / FACTOR)
