"""Runs in: a worker's first process, before it forks; lets a task's process be ended when the task does not heed its timeout.

Airflow raises its timeout inside the task, from a signal handler: code that catches everything, and code that holds the interpreter's
lock, go on for ever. `faulthandler` watches from a thread of C, which needs no lock; it writes where every thread stands to the task's
log and ends the process. The task has then failed, or is tried again. Only the task's own code is watched, and its `on_kill`.
A file beside the spool says until when, so that whoever finds the process dead knows why.
"""

import faulthandler
import functools
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from airflow_celery_kit import instance, patching
from airflow_celery_kit.journal.teller import FOLDER

# How long a task may take to heed its timeout: so many seconds, and a tenth of the timeout. Without it nothing is ended.
GRACE = "KIT_HARD_TIMEOUT_GRACE"
WRITTEN_AGAINST = {"_run_execute_callable": "3dceb6b81b6f"}


def seconds_of(task: Any) -> float | None:
    """Return after how many seconds a task's process is ended, None for one that may run for ever."""
    grace, timeout = os.environ.get(GRACE), getattr(task, "execution_timeout", None)
    if not grace or not timeout:
        return None
    return float(timeout.total_seconds() * 1.1 + float(grace))


def watched(execute: Callable[..., Any]) -> Callable[..., Any]:
    """Return Airflow's call of a task's own code, under the watch."""

    @functools.wraps(execute)
    def call(context: Any, function: Any, task: Any) -> Any:
        seconds = seconds_of(task)
        if seconds is None:
            return execute(context, function, task)
        with noted(seconds, task.execution_timeout.total_seconds()):
            faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or 2)
            try:
                return execute(context, function, task)
            finally:
                faulthandler.cancel_dump_traceback_later()

    return call


def note(pid: int) -> Path | None:
    """Return the file that says until when a process may run, None where no journal is kept."""
    folder = os.environ.get(FOLDER)
    return Path(folder, f"{instance.name()}.{pid}.watch") if folder else None


@contextmanager
def noted(seconds: float, timeout: float) -> Iterator[None]:
    """Keep until when this process may run, and its task's timeout, while it runs. A disk that takes no file is no reason not to."""
    path = note(os.getpid())
    if path is None:
        yield
        return
    with suppress(OSError):
        path.write_text(f"{time.monotonic() + seconds} {timeout}")
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()


def missed(pid: int) -> float | None:
    """Return the timeout in seconds that a dead process was ended for not heeding, None for one that ended otherwise; forget its file."""
    path = note(pid)
    if path is None:
        return None
    try:
        until, timeout = map(float, path.read_text().split())
    except (OSError, ValueError):
        return None
    path.unlink(missing_ok=True)
    return timeout if time.monotonic() >= until else None


def install() -> None:
    """Change the module that runs a task."""
    from airflow.sdk.execution_time import task_runner

    if os.environ.get(GRACE) and patching.fits("ending tasks that heed no timeout", task_runner, WRITTEN_AGAINST):
        task_runner._run_execute_callable = watched(task_runner._run_execute_callable)
