"""Runs in: Celery workers; drops a message that was delivered again although its task started, with a warning and a count.

A broker delivers again what was not acknowledged: after the visibility timeout, and when a connection was lost between a
task's end and its acknowledgement. What started in this worker is dropped before it costs a process; what runs in another
one is refused by Airflow, which ends it as ignored. What has not started is never dropped: only its second delivery may
run it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from billiard.einfo import ExceptionInfo
from celery.exceptions import Ignore
from celery.utils.log import get_logger
from celery.worker import request, strategy

from airflow_celery_kit.core.journal.events import Kind
from airflow_celery_kit.worker import record
from airflow_celery_kit.worker.holding import HOLDS
from airflow_celery_kit.worker.telling import Telling, is_lost, problem_of

REMEMBERED = 100

log = get_logger(__name__)


@dataclass
class Started:
    """The last `limit` ids of messages whose tasks started in this worker, and how many second deliveries were dropped."""

    limit: int = REMEMBERED
    ids: dict[str, None] = field(default_factory=dict)
    dropped: int = 0

    def remember(self, message: str) -> None:
        """Take up an id, the newest last."""
        self.ids.pop(message, None)
        self.ids[message] = None
        if len(self.ids) > self.limit:
            del self.ids[next(iter(self.ids))]

    def forget(self, message: str) -> None:
        """Let an id run again: what ran under it was killed."""
        self.ids.pop(message, None)

    def drops(self, message: str) -> bool:
        """Return whether a delivery of this id is a second one, and count it."""
        known = message in self.ids
        self.dropped += known
        return known


STARTED = Started()


class Request(Telling, request.Request):
    """A task in a worker's hands; remembers that it started."""

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """Called when a pool process has begun it."""
        STARTED.remember(self.id)
        super().on_accepted(pid, time_accepted)

    def acknowledge(self) -> None:
        """Called when it has ended, its slot being free again; the slot may be kept for what follows."""
        if self.time_start:
            step, dag = self.delivery_info.get("priority") or 0, (self.argsrepr or "").partition("/")[0]
            HOLDS.keep(step, time.time() - self.time_start, f"{dag}/{step}")
        super().acknowledge()

    def on_failure(self, exc_info: ExceptionInfo, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Called when it ended badly, or its process died."""
        if is_lost(problem := problem_of(exc_info)):
            STARTED.forget(self.id)
        elif isinstance(problem, Ignore):
            STARTED.dropped += 1
            log.warning("message %s was delivered again while its task runs elsewhere: dropped", self.id)
        return super().on_failure(exc_info, send_failed_event, return_ok)


def once(task: Any, app: Any, consumer: Any, **options: Any) -> Callable[..., Any]:
    """Return Celery's own handler for incoming messages, behind the guard (the task's `Strategy`)."""
    handle = strategy.default(task, app, consumer, **options)

    def take(message: Any, body: Any, ack: Callable[..., None], *rest: Any, **named: Any) -> Any:
        if STARTED.drops(found := str(message.headers.get("id", ""))):
            log.warning("message %s was delivered again though its task started here: dropped", found)
            record.tell(Kind.REDELIVERED, message.headers)
            return ack(log, consumer.connection_errors)
        HOLDS.took(message.properties.get("priority") or 0)
        record.tell(Kind.RECEIVED, message.headers)
        return handle(message, body, ack, *rest, **named)

    return take
