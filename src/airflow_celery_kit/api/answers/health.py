"""Runs in: airflow-apiserver; what the leading controller has judged (`core/health.py`)."""

from datetime import datetime

from pydantic import BaseModel

from airflow_celery_kit.api.answers.fields import said, when
from airflow_celery_kit.api.answers.queues import Look
from airflow_celery_kit.core.health import State


class HealthVerdict(BaseModel):
    """What holds of one subject of one check."""

    check: str = said("The check.")
    subject: str = said("What it looked at: a worker, a queue; the check's own name where it looks at one thing.")
    state: State = said("Its state.")
    since: datetime = when("Since when it is in this state")
    why: str = said("Why, as of the last look; may be empty where it is Healthy.")
    cure: str = said("What to do, empty where nothing is to be done.")
    vital: bool = said("Whether no task can run while this is Unhealthy.")


class Health(Look):
    """The whole and its parts. Verdicts that nobody renews are Unhealthy, whatever they said."""

    state: State = said("The state of the whole: that of its worst part.")
    ready: bool = said("Whether tasks can run: nothing vital is Unhealthy.")
    verdicts: list[HealthVerdict] = said("What holds of each subject of each check, the worst first.")
