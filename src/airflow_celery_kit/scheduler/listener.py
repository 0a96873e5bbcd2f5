"""Runs in: every process of Airflow that starts a job; prepares the scheduler's and the Dag processor's."""

import sys
from typing import Any

from airflow.listeners import hookimpl

# Airflow calls the hook before a job knows its own type; only a process that runs such a job has loaded its runner.
SCHEDULER, DAG_PROCESSOR = "airflow.jobs.scheduler_job_runner", "airflow.jobs.dag_processor_job_runner"


@hookimpl
def on_starting(component: Any) -> None:
    """Let the scheduler be woken, and the Dag processor load once what each of its forks would."""
    from airflow_celery_kit import patching, preload
    from airflow_celery_kit.scheduler import wake

    changes = {SCHEDULER: wake.install, DAG_PROCESSOR: preload.for_parsing}
    patching.attempt([change for runner, change in changes.items() if runner in sys.modules])
