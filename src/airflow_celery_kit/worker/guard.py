"""Runs in: the parent process of each worker; ends a worker that is frozen or consumes nothing, so that its supervisor starts another.

`python -m airflow_celery_kit.worker.guard COMMAND...` runs the command, hands on the signals to stop, and ends with its
exit code. It needs no socket of the engine: what it ends is its own child.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from airflow_celery_kit.probes import broker
from airflow_celery_kit.probes.worker import beat_age
from airflow_celery_kit.worker.parent_death import PR_SET_PDEATHSIG

LOOK_SECONDS = 5.0
# Longer than any reconnect of a worker to a broker that answers.
SILENT_SECONDS = 45.0
HANDED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


@dataclass
class Watch:
    """Decides when a worker's silence is its own fault. `answers` says whether the broker does; times are steady, in seconds."""

    answers: Callable[[], bool]
    since: float | None = None

    def is_to_end(self, age: float | None, busy: bool, now: float) -> bool:
        """Return whether a worker of that beat age has been silent for SILENT_SECONDS while its broker answered and no task ran.

        `age` is None before the first beat.
        """
        if age is None or age < LOOK_SECONDS * 2 or not self.answers():
            self.since = None
            return False
        self.since = now if self.since is None else self.since
        return not busy and now - self.since >= SILENT_SECONDS


def broker_answers() -> bool:
    """Return whether the broker answers this worker's own login."""
    try:
        broker.ask_from_environment()
    except (OSError, KeyError):
        return False
    return True


def runs_a_task(pid: int) -> bool:
    """Return whether a pool process of the worker has a task process."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return any(child.children() for child in psutil.Process(pid).children())
    return False


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill the worker; what it forked dies with it."""
    print(f"worker silent for {SILENT_SECONDS:.0f} s while its broker answers: ending it", file=sys.stderr, flush=True)  # noqa: T201
    process.kill()


def last_beat() -> float | None:
    """Return the age of the worker's beat, None before the first one."""
    try:
        return beat_age(os.environ["KIT_BEAT_FILE"])
    except FileNotFoundError:
        return None


def main(command: list[str]) -> int:
    """Run the worker until it ends; return its exit code, 1 when it was ended here."""
    libc = ctypes.CDLL(None)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.environ["KIT_BEAT_FILE"])
    process = subprocess.Popen(command, preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))  # noqa: PLW1509
    for number in HANDED_ON:
        signal.signal(number, lambda received, _: process.send_signal(received))
    watch = Watch(broker_answers)
    while True:
        try:
            code = process.wait(LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            if watch.is_to_end(last_beat(), runs_a_task(process.pid), time.monotonic()):
                end(process)
        else:
            return code if code >= 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
