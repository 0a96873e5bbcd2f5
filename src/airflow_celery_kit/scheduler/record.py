"""Runs in: the scheduler; writes to the journal what was published, and carries events on."""

from os import environ
from typing import Any

from celery.signals import after_task_publish

from airflow_celery_kit.core.journal.events import Kind, Source, Subject
from airflow_celery_kit.journal.forwarder import Forwarder, SpoolSupply
from airflow_celery_kit.journal.outbox import OutboxSupply
from airflow_celery_kit.journal.sink import Sink
from airflow_celery_kit.journal.teller import ADDRESS, teller
from airflow_celery_kit.scheduler.router import SUBJECT
from airflow_celery_kit.scheduler.wake import connect


def published(headers: Any = None, routing_key: str = "", **_: Any) -> None:
    """Celery calls it after each message that it has handed to the broker."""
    found = (headers or {}).get(SUBJECT)
    if found:
        teller(Source.SCHEDULER).tell(
            Kind.PUBLISHED, Subject(**found, message=headers.get("id")), {"queue": routing_key}
        )


def install() -> None:
    """Begin, where a journal is kept."""
    spool = teller(Source.SCHEDULER).spool
    if spool is None:
        return
    after_task_publish.connect(published, weak=False)
    Forwarder(Sink(environ[ADDRESS]), (SpoolSupply(spool), OutboxSupply(connect, masked))).start()


def masked(value: Any) -> Any:
    """Return a run's configuration as Airflow would show it."""
    from airflow.sdk.log import redact

    return redact(value)
