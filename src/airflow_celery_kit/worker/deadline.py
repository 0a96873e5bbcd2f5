"""Runs in: task processes; ends one that does not heed its timeout.

Airflow raises its timeout inside the task, from a signal handler: code that catches everything, and code that holds the interpreter's
lock, go on for ever. `faulthandler` watches from a thread of C, which needs no lock; it writes where every thread stands to the task's
log and ends the process. The task has then failed, or is tried again.
"""

import faulthandler
import os
import sys
from typing import Any

from airflow.listeners import hookimpl

# How long a task may take to heed its timeout: so many seconds, and a tenth of the timeout. Without it nothing is ended.
GRACE = "KIT_HARD_TIMEOUT_GRACE"


def seconds_of(task: Any) -> float | None:
    """Return after how many seconds a task's process is ended, None for one that may run for ever."""
    grace, timeout = os.environ.get(GRACE), getattr(task, "execution_timeout", None)
    if not grace or not timeout:
        return None
    return float(timeout.total_seconds() * 1.1 + float(grace))


@hookimpl
def on_task_instance_running(previous_state: Any, task_instance: Any) -> None:
    """Set the watch; Airflow calls it in the task's process, before the task's own code runs."""
    if seconds := seconds_of(getattr(task_instance, "task", None)):
        faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or 2)


@hookimpl
def on_task_instance_success(previous_state: Any, task_instance: Any) -> None:
    """Take the watch away: what comes after the task's own code has no timeout."""
    faulthandler.cancel_dump_traceback_later()


@hookimpl
def on_task_instance_failed(previous_state: Any, task_instance: Any, error: Any) -> None:
    """The same."""
    faulthandler.cancel_dump_traceback_later()
