"""A health check of your own: `HEALTH_CHECKS=backlog.Backlog` in `.env`. It does nothing until it is chosen."""

from airflow_celery_kit.core.health import Cause, State
from airflow_celery_kit.health.check import Check


class Backlog(Check):
    """More tasks wait than anybody is willing to wait for."""

    name, needs = "backlog", ("metadata",)
    causes = {"long": Cause(State.DEGRADED, "more than 1000 tasks wait", "'kit scale' to more workers")}  # noqa: RUF012

    def look(self, metadata):
        with metadata, metadata.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM task_instance WHERE state = 'scheduled'")
            (waiting,) = cursor.fetchone()
        yield self.ill("long", f"{waiting} wait") if waiting > 1000 else self.well(f"{waiting} wait")
