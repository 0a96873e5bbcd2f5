"""Runs in: Celery workers of an Airflow that has the kit's journal and none of its runtimes; says there what becomes of each message.

Nothing else of the worker is changed. Celery's settings are the owner's: messages do not say whose they are, and events may be off.
"""

from contextlib import suppress
from typing import Any, ClassVar

from celery.signals import task_received, task_success, worker_shutdown
from kombu.utils.imports import symbol_by_name

from airflow_celery_kit.core.journal.events import Kind
from airflow_celery_kit.journal.teller import stand_alone
from airflow_celery_kit.scheduler.router import SUBJECT, subject, workload_of
from airflow_celery_kit.worker import record
from airflow_celery_kit.worker.telling import Telling

# Airflow's task on Celery.
TASK = "execute_workload"


class Named(Telling):
    """A request that knows which attempt of which task it is for. Celery speaks of success to it only where events are on: see `succeeded`."""

    kinds: ClassVar = {said: kind for said, kind in record.KINDS.items() if kind != Kind.SUCCEEDED}

    def __init__(self: Any, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        with suppress(Exception):  # Whatever came in, what to do with it is Celery's to say.
            self.request_dict.setdefault(SUBJECT, subject(workload_of(self.args)))


def received(request: Any, **_: Any) -> None:
    """Celery calls it in the worker's first process."""
    record.tell(Kind.RECEIVED, request.request_dict)


def succeeded(sender: Any, **_: Any) -> None:
    """Celery calls it in the process that ran the task."""
    record.tell(Kind.SUCCEEDED, sender.request)


def leave(**_: Any) -> None:
    """Celery calls it when it has stopped everything."""
    record.leave()


def install(worker: Any) -> None:
    """Keep a journal in a worker that has forked nothing yet; one that runs no tasks of Airflow's is left alone."""
    from airflow.configuration import AIRFLOW_HOME

    if (task := worker.app.tasks.get(TASK)) is None:
        return
    kind, _, host = worker.hostname.partition("@")
    stand_alone(AIRFLOW_HOME, "workers", host if kind == "celery" else worker.hostname)
    task.Request = type("Request", (Named, symbol_by_name(task.Request)), {})
    task_received.connect(received, weak=False)
    task_success.connect(succeeded, weak=False)
    worker_shutdown.connect(leave, weak=False)
    record.install()
