"""Runs in: every process of Airflow that ends a task; says in the journal why it failed.

Airflow calls the hook in the task's process, and in the scheduler and the api-server where those end a task.
"""

import sys
import traceback
from typing import Any

from airflow.listeners import hookimpl

from airflow_celery_kit.core.journal.events import Kind, Source, Subject
from airflow_celery_kit.journal.teller import teller

COUNTED = "airflow_celery_kit.task.measuring"
# Longer ones are cut at their beginning: the end says where it happened.
MOST_CHARACTERS = 20_000


def subject_of(task_instance: Any) -> Subject:
    """Return which attempt a task instance of Airflow's or of its SDK's is."""
    ti = task_instance
    return Subject(str(id_of(ti)), ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.try_number)


def id_of(task_instance: Any) -> Any:
    """Return the id of the attempt that has failed; Airflow's own object may have been given the next one's a moment before."""
    if not is_a_row(task_instance):
        return task_instance.id
    from sqlalchemy import inspect

    before = inspect(task_instance).attrs.id.history.deleted
    return before[0] if before else task_instance.id


def is_a_row(task_instance: Any) -> bool:
    """Return whether it is one of the metadata database, as in the scheduler, and none of a task's own process."""
    return hasattr(task_instance, "_sa_instance_state")


@hookimpl
def on_task_instance_failed(previous_state: Any, task_instance: Any, error: Any) -> None:
    """Keep an error with its stack trace, secrets masked. The process may have no journal: then nothing happens."""
    voice = teller(Source.SCHEDULER if is_a_row(task_instance) else Source.CODE)
    if voice.spool is None or error is None:
        return
    from airflow.sdk.exceptions import AirflowTaskTimeout
    from airflow.sdk.log import redact

    kind = Kind.TIMED_OUT if isinstance(error, AirflowTaskTimeout) else Kind.ERROR
    trace = "".join(traceback.format_exception(error)) if isinstance(error, BaseException) else None
    shown = f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error)
    facts = {"error": redact(shown)} | ({"trace": redact(trace[-MOST_CHARACTERS:])} if trace else {})
    voice.tell(kind, subject_of(task_instance), facts)


@hookimpl
def before_stopping(component: Any) -> None:
    """Say what a task has counted last. Airflow calls the hook at the end of other processes too, which have counted nothing."""
    if counted := sys.modules.get(COUNTED):
        counted.flush()
