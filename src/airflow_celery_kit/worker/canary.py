"""Runs in: Celery workers; a task that does nothing, by which the controller measures the way of every task through a queue.

It is taken off the queue as any other, and runs in a pool process, which says so; the worker's report tells how long that took. It is
acknowledged then, so that nothing is left of one whose worker dies, and sends no events.
"""

import time
from typing import Any

from celery.worker import request

from airflow_celery_kit.worker.broker import CANARY, SENT_AT

# The last one of each queue: its id, when it had begun, the seconds since it was sent.
BACK: dict[str, dict[str, Any]] = {}


class Request(request.Request):
    """A canary in a worker's hands."""

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """Called when a pool process has begun it, by the way on which results come back: note when that was."""
        now = time.time()
        sent = float(self._message.headers.get(SENT_AT) or now)
        queue = str(self.delivery_info.get("routing_key") or "")
        BACK[queue] = {"id": self.id, "at": round(now, 3), "seconds": round(now - sent, 3)}
        super().on_accepted(pid, time_accepted)


def nothing() -> None:
    """Do what a canary is for."""


def install(app: Any) -> None:
    """Let a Celery app know the task."""
    app.task(
        nothing,
        name=CANARY,
        shared=False,
        ignore_result=True,
        acks_late=False,
        send_events=False,
        Request=f"{__name__}:Request",
    )
