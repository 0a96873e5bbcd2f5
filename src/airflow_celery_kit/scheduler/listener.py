"""Runs in: every process of Airflow that starts a job; prepares the scheduler's."""

import sys
from typing import Any

from airflow.listeners import hookimpl


@hookimpl
def on_starting(component: Any) -> None:
    """Let the scheduler be woken. Airflow calls this before a job knows its own type; only the scheduler has loaded its loop."""
    if "airflow.jobs.scheduler_job_runner" in sys.modules:
        from airflow_celery_kit import patching
        from airflow_celery_kit.scheduler import wake

        patching.attempt([wake.install])
