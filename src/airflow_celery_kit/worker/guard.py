"""Runs in: the parent process of each worker; starts it when the broker is there, stops it in time, ends it when it is frozen or deaf.

`python -m airflow_celery_kit.worker.guard COMMAND...` runs the command, hands on the signals to stop, and ends with its
exit code, so that its supervisor starts another. It needs no socket of the engine: what it ends is its own child.
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

from airflow_celery_kit.probes.worker import beat_age
from airflow_celery_kit.worker.parent_death import PR_SET_PDEATHSIG
from airflow_celery_kit.worker.start_steps import STEPS, broker_problem, say, take

AWAITED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}
LOOK_SECONDS = 5.0
# Longer than any reconnect of a worker to a broker that answers.
SILENT_SECONDS = 45.0
# The end of a worker's time to stop, kept for ending its tasks and giving back what it had not started.
GIVE_BACK_SECONDS = 30.0


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


@dataclass
class Stop:
    """A worker's way out: SIGTERM lets its tasks finish, SIGQUIT at the deadline ends them and gives messages back."""

    process: subprocess.Popen[bytes]
    grace: float
    deadline: float | None = None

    def hand_on(self, number: int) -> None:
        """Hand a signal on to the worker; the first SIGTERM sets the deadline."""
        if number == signal.SIGTERM and self.deadline is None:
            self.deadline = time.monotonic() + soft_seconds(self.grace)
        self.process.send_signal(number)

    def look_again(self) -> float:
        """Return the seconds until there is something to do."""
        left = LOOK_SECONDS if self.deadline is None else self.deadline - time.monotonic()
        return min(max(left, 0.1), LOOK_SECONDS)

    def press(self) -> None:
        """End the tasks once the deadline has passed."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            say(
                f"tasks still run after {soft_seconds(self.grace):.0f} s: ending them, what did not start goes back to its queue"
            )
            self.deadline = float("inf")
            self.process.send_signal(signal.SIGQUIT)


def soft_seconds(grace: float) -> float:
    """Return how long tasks may go on after SIGTERM, of `grace` seconds before the supervisor kills the worker."""
    return max(grace - GIVE_BACK_SECONDS, grace / 2)


def runs_a_task(pid: int) -> bool:
    """Return whether a pool process of the worker has a task process."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return any(child.children() for child in psutil.Process(pid).children())
    return False


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill the worker; what it forked dies with it."""
    say(f"worker silent for {SILENT_SECONDS:.0f} s while its broker answers: ending it")
    process.kill()


def last_beat() -> float | None:
    """Return the age of the worker's beat, None before the first one."""
    try:
        return beat_age(os.environ["KIT_BEAT_FILE"])
    except FileNotFoundError:
        return None


def main(command: list[str]) -> int:
    """Run the worker until it ends; return its exit code, 1 when it was ended here, EX_CONFIG when it may not start."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.environ["KIT_BEAT_FILE"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if refused := take(STEPS, os.environ):
        return refused
    signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
    process = start(command)
    stop = Stop(process, float(os.environ["KIT_STOP_GRACE"].rstrip("s")))
    watch = Watch(lambda: not broker_problem(os.environ))
    while process.poll() is None:
        if (received := signal.sigtimedwait(AWAITED, stop.look_again())) and received.si_signo != signal.SIGCHLD:
            stop.hand_on(received.si_signo)
        stop.press()
        if not received and watch.is_to_end(last_beat(), runs_a_task(process.pid), time.monotonic()):
            end(process)
    return max(process.returncode, 0) or int(process.returncode < 0)


def start(command: list[str]) -> subprocess.Popen[bytes]:
    """Start the worker; it dies with its guard, and hears the signals that its guard waits for."""
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, AWAITED)

    return subprocess.Popen(command, preexec_fn=prepare)  # noqa: PLW1509


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
