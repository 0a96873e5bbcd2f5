"""Runs in: Celery workers; a part of the class of requests, the tasks in a worker's hands, that says in the journal what becomes of them."""

from collections.abc import Mapping
from typing import Any, ClassVar

from billiard.einfo import ExceptionInfo, ExceptionWithTraceback
from billiard.exceptions import Terminated, WorkerLostError

from airflow_celery_kit.core.journal.events import Kind
from airflow_celery_kit.worker import record


def problem_of(exc_info: ExceptionInfo) -> BaseException:
    """Return what went wrong; what the worker itself says of a process that died stands in an envelope, what a process says does not."""
    found = exc_info.exception
    return found.exc if isinstance(found, ExceptionWithTraceback) else found


def is_lost(problem: BaseException) -> bool:
    """Return whether the process that ran a task is gone."""
    return isinstance(problem, WorkerLostError | Terminated)


class Telling:
    """Stands before Celery's class, or one of its children."""

    kinds: ClassVar[Mapping[str, Kind]] = record.KINDS

    def send_event(self: Any, type: str, **fields: Any) -> None:
        """Called at each step; what Flower hears the journal keeps."""
        if kind := self.kinds.get(type):
            record.tell(kind, self.request_dict)
        super().send_event(type, **fields)  # type: ignore[misc]

    def on_failure(self: Any, exc_info: ExceptionInfo, *rest: Any, **named: Any) -> Any:
        """Called when it ended badly, or its process died."""
        if is_lost(problem := problem_of(exc_info)):
            record.tell(Kind.LOST, self.request_dict, record.death(str(problem)))
        return super().on_failure(exc_info, *rest, **named)  # type: ignore[misc]
