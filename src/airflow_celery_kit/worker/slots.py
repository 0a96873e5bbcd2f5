"""Runs in: Celery workers; knows which slots still run a task after a lost connection to the broker.

Celery forgets it. It takes one message less for each task that runs then, but never less than one, and one more with each task that is
delivered and ends later: a full worker keeps a message that another could run, and slots stay empty when the first tasks have ended,
for hours where tasks take hours (`worker_enable_prefetch_count_reduction`). And it may hand a task to a process that is busy, though
another is free (celery#10346).
"""

from typing import Any
from weakref import WeakSet

from celery import bootsteps
from celery.concurrency.asynpool import AsynPool
from celery.worker import state
from celery.worker.consumer.consumer import Consumer

from airflow_celery_kit import patching

WRITTEN_AGAINST = {"on_connection_error_after_connected": "7b7eaba8d0d8", "on_close": "44c736d6f825"}
POOL_WRITTEN_AGAINST = {"flush": "7315a8aaaf15", "on_job_ready": "89e682c38efd"}


class Slots(bootsteps.StartStopStep):
    """A step of the worker's consumer: has its channel ask for messages while a slot is free."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """Remember what runs as this connection begins, and count it among the slots that are taken."""
        consumer.earlier = WeakSet(state.active_requests)
        qos = consumer.task_consumer.channel.qos
        can_consume = qos.can_consume
        qos.can_consume = lambda: free(consumer) > 0 and can_consume()


def free(consumer: Any) -> int:
    """Return how many slots have neither a task of this connection nor one of an earlier connection."""
    if earlier := getattr(consumer, "earlier", None):
        earlier &= state.active_requests
    return max(0, consumer.pool.num_processes - len(state.reserved_requests) - len(earlier or ()))


def keep_busy(pool: type[AsynPool]) -> None:
    """Let a pool remember, when it is flushed at a lost connection, which processes run a task."""
    flush = pool.flush

    def flush_and_remember(self: Any) -> None:
        flush(self)
        running = [job._write_to for job in self._cache.values() if job._accepted and not job.ready() and job._write_to]
        self._busy_workers.update(process.inqW_fd for process in running if process._is_alive())

    pool.flush = flush_and_remember


def install(app: Any) -> None:
    """Change every worker of a Celery app."""
    if patching.fits("keeping busy processes busy", AsynPool, POOL_WRITTEN_AGAINST):
        keep_busy(AsynPool)
    if patching.fits("counting the slots that are free", Consumer, WRITTEN_AGAINST):
        app.conf.worker_enable_prefetch_count_reduction = False
        app.steps["consumer"].add(Slots)
