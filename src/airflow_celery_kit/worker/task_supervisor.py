"""Runs in: Celery's pool processes; lets a task's supervisor wake at the exit of its task process, and send no heartbeat at its start.

Airflow's supervisor watches the sockets of the task process. The last one closes a little before the process is gone, so the
supervisor looks too early and then sleeps for `[workers] min_heartbeat_interval`. A process descriptor (pidfd_open(2), Linux 5.3)
in its selector becomes readable at the exit itself. And it sends its first heartbeat at its first look, though the call that started
the task has just set the same field. Texts of the reports to Airflow: ADR 0016.
"""

import contextlib
import io
import os
import selectors
import time
from collections.abc import Iterator
from typing import Any

from airflow_celery_kit import patching
from airflow_celery_kit.worker import record

WRITTEN_AGAINST = {
    "_on_child_started": "c1810e9d6d09",
    "_monitor_subprocess": "02685b2380de",
    "_send_heartbeat_if_needed": "31f8f8772b8c",
    "_service_subprocess": "42a762c7c8aa",
    "_check_subprocess_exit": "dc039d1f36e9",
}


@contextlib.contextmanager
def watched(supervisor: Any) -> Iterator[None]:
    """Let the supervisor's selector wake when its task process exits; without such descriptors nothing changes."""
    try:
        exited = io.FileIO(os.pidfd_open(supervisor.pid))
    except OSError:
        yield
        return
    # The supervisor reads a ready file with the first function, which says that there is nothing more, and drops it with the second.
    handlers = (lambda _: False, supervisor.selector.unregister)
    with exited:
        supervisor.selector.register(exited, selectors.EVENT_READ, handlers)
        yield


def install() -> None:
    """Change the supervisor of tasks in this process and its children."""
    from airflow.sdk.execution_time.supervisor import ActivitySubprocess

    if not hasattr(os, "pidfd_open") or not patching.fits(
        "noticing a task's exit at once", ActivitySubprocess, WRITTEN_AGAINST
    ):
        return
    monitor = ActivitySubprocess._monitor_subprocess

    def monitor_from_start_to_exit(self: Any) -> None:
        self._last_heartbeat_attempt = time.monotonic()
        with watched(self):
            monitor(self)
        record.tell_of_death(self)

    ActivitySubprocess._monitor_subprocess = monitor_from_start_to_exit
