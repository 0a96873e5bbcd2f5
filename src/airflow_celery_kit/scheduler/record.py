"""Runs in: the scheduler; writes to the journal what was published, and carries events on."""

from collections.abc import Callable
from os import environ
from typing import Any

from celery.signals import after_task_publish

from airflow_celery_kit.core.journal.events import Kind, Source, Subject
from airflow_celery_kit.journal.forwarder import Forwarder, SpoolSupply, nothing
from airflow_celery_kit.journal.outbox import OutboxSupply
from airflow_celery_kit.journal.sink import Sink
from airflow_celery_kit.journal.teller import ADDRESS, teller
from airflow_celery_kit.scheduler.router import SUBJECT, subject, workload_of
from airflow_celery_kit.scheduler.wake import connect


def published(headers: Any = None, routing_key: str = "", body: Any = None, **_: Any) -> None:
    """Celery calls it after each message that it has handed to the broker; without the kit's router the body alone says whose it is."""
    headers = headers or {}
    found = headers[SUBJECT] if SUBJECT in headers else subject(workload_of(body[0] if body else None))
    if found:
        teller(Source.SCHEDULER).tell(
            Kind.PUBLISHED, Subject(**found, message=headers.get("id")), {"queue": routing_key}
        )


def install(before: Callable[[], None] = nothing) -> None:
    """Begin, where a journal is kept."""
    spool = teller(Source.SCHEDULER).spool
    if spool is None:
        return
    after_task_publish.connect(published, weak=False)
    supplies = (SpoolSupply(spool), OutboxSupply(connect, masked))
    Forwarder(Sink(environ[ADDRESS]), supplies, before).start()


def masked(value: Any) -> Any:
    """Return a run's configuration as Airflow would show it."""
    from airflow.sdk.log import redact

    return redact(value)
