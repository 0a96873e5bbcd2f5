"""A priority policy of your own: `PRIORITY_POLICY=night_shift.NightShift` in `.env`, or a Dag's tag `kit:policy:night_shift.NightShift`."""

from airflow_celery_kit.core.ordering.policy import Policy


class NightShift(Policy):
    """Dags called `night_...` run when nothing else waits, or when they have waited for half of LONGEST_WAIT."""

    def weigh(self, task, situation):
        patient = task.dag_id.startswith("night_") and task.waited < situation.bound / 2
        return 1 if patient else task.base
