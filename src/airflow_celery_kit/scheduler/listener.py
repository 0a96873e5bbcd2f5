"""Runs in: every process of Airflow that starts a job or a task; prepares the scheduler's and the Dag processor's."""

import os
import sys
from functools import partial
from typing import Any

from airflow.listeners import hookimpl

from airflow_celery_kit import patching, preload, service_report, stack


def wake_the_scheduler() -> None:
    """Let the scheduler be woken; its modules cost a task's process more than the task, so only a scheduler imports them."""
    from airflow_celery_kit.scheduler import wake

    wake.install()


def ask_for_less() -> None:
    """Let the scheduler not ask for what is not there."""
    from airflow_celery_kit.scheduler import mapped

    mapped.install()


def keep_a_journal() -> None:
    """Let the scheduler write down what happens."""
    from airflow_celery_kit.scheduler import record

    record.install()


def keep_a_journal_alone() -> None:
    """The same in an Airflow that runs without the kit's settings, where somebody has said where the journal is."""
    from airflow_celery_kit.journal.teller import is_wanted

    if is_wanted(os.environ):
        from airflow_celery_kit.scheduler import alone

        alone.install()


def keep_house() -> None:
    """Let the triggerer do its part of the housekeeping."""
    from airflow_celery_kit.triggerer import watch

    watch.install()


def lighten_parsing() -> None:
    """Let the Dag processor look less often for what is there."""
    from airflow_celery_kit.dag_processor import permissions, requests

    patching.attempt((permissions.install, requests.install))


# Airflow calls the hook before a job knows its own type; only a process that runs such a job has loaded its runner.
CHANGES = {
    "airflow.jobs.scheduler_job_runner": (
        wake_the_scheduler, ask_for_less, keep_a_journal, partial(service_report.tell, "airflow-scheduler"),
    ),
    "airflow.jobs.dag_processor_job_runner": (
        preload.for_parsing, lighten_parsing, partial(service_report.tell, "airflow-dag-processor"),
    ),
    "airflow.jobs.triggerer_job_runner": (keep_house, partial(service_report.tell, "airflow-triggerer")),
}  # fmt: skip
# Nothing of Airflow is changed that nobody has asked to be changed.
ALONE = {"airflow.jobs.scheduler_job_runner": (keep_a_journal_alone,)}


@hookimpl
def on_starting(component: Any) -> None:
    """Let the scheduler be woken, and the Dag processor load once what each of its forks would and look less often."""
    here = {runner for runner in CHANGES if runner in sys.modules}
    if here:
        changes = CHANGES if stack.is_whole() else ALONE
        for runner in here & changes.keys():
            patching.attempt(changes[runner])
