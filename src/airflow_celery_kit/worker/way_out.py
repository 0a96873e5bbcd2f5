"""Runs in: the guard of each worker; lets a worker that is told to stop finish its tasks, and ends it in steps when it cannot.

Celery's own soft shutdown sleeps through its whole timeout, and SIGTERM does not end an Airflow task: it calls `on_kill`
and goes on. So the guard itself ends what outlasts the grace, in time for Airflow to hear of it.
"""

import contextlib
import signal
import subprocess
import time
from dataclasses import dataclass

import psutil

from airflow_celery_kit.worker import leaving
from airflow_celery_kit.worker.start_steps import say

# The end of a worker's time to stop, kept for ending its tasks and giving back what it had not started.
GIVE_BACK_SECONDS = 30.0
# What the guard waits for between two looks.
LOOK_SECONDS = 5.0


@dataclass
class Stop:
    """A worker's way out: SIGTERM lets its tasks finish; after the deadline each step is harder than the one before."""

    process: subprocess.Popen[bytes]
    grace: float
    begun: float | None = None
    taken: int = 0

    def hand_on(self, number: int) -> None:
        """Hand a signal on to the worker; the first SIGTERM sets the deadline."""
        if number == signal.SIGTERM and self.begun is None:
            self.begun = time.monotonic()
        self.process.send_signal(number)

    def next_step(self) -> float:
        """Return the seconds until the next step is due, at most LOOK_SECONDS."""
        if self.begun is None or self.taken == len(STEPS_OUT):
            return LOOK_SECONDS
        soft = soft_seconds(self.grace)
        due = self.begun + soft + (self.grace - soft) * STEPS_OUT[self.taken][0]
        return min(max(due - time.monotonic(), 0.0), LOOK_SECONDS)

    def go_on(self) -> None:
        """Take the step that is due, if one is."""
        if self.begun is None or self.taken == len(STEPS_OUT) or self.next_step() > 0:
            return
        _, what, step = STEPS_OUT[self.taken]
        self.taken += 1
        tasks = task_processes(self.process.pid)
        say(f"{len(tasks)} tasks still run {time.monotonic() - self.begun:.0f} s after SIGTERM: {what}")
        leaving.begin()
        step(self.process, tasks)


def soft_seconds(grace: float) -> float:
    """Return how long tasks may go on after SIGTERM, of `grace` seconds before the supervisor kills the worker."""
    return max(grace - GIVE_BACK_SECONDS, grace / 2)


def ask(_: subprocess.Popen[bytes], tasks: list[psutil.Process]) -> None:
    """Send SIGTERM to the task processes, at which Airflow calls `on_kill` and lets the task go on."""
    for task in tasks:
        send(task, signal.SIGTERM)


def kill(_: subprocess.Popen[bytes], tasks: list[psutil.Process]) -> None:
    """Kill the task processes with what they started; their supervisors report it, and retries are due at once."""
    for task in tasks:
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in (task, *task.children(recursive=True)):
                send(process, signal.SIGKILL)


def quit_worker(worker: subprocess.Popen[bytes], _: list[psutil.Process]) -> None:
    """Send SIGQUIT to the worker: Celery's cold shutdown, which gives unacknowledged messages back."""
    worker.send_signal(signal.SIGQUIT)


# When, as a share of the time between the deadline and the supervisor's SIGKILL, and what.
STEPS_OUT = (
    (0.0, "asking them to stop", ask),
    (1 / 3, "killing them, they are retried as they allow", kill),
    (2 / 3, "ending the worker, messages go back to their queue", quit_worker),
)


def send(process: psutil.Process, number: signal.Signals) -> None:
    """Send a signal to a process that may be gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def task_processes(pid: int) -> list[psutil.Process]:
    """Return the task processes of a worker: the children of its pool processes."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [task for pool in psutil.Process(pid).children() for task in children(pool)]
    return []


def children(process: psutil.Process) -> list[psutil.Process]:
    """Return the children of a process, none of one that is gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return list(process.children())
    return []
