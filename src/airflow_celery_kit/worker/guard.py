"""Runs in: the parent process of each worker; starts it when the broker is there, stops it in time, ends it when it is frozen, deaf or cut off.

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
from pathlib import Path

from airflow_celery_kit.probes import broker
from airflow_celery_kit.probes.worker import away_mark, beat_age
from airflow_celery_kit.worker import cut_off, leaving
from airflow_celery_kit.worker.parent_death import PR_SET_PDEATHSIG
from airflow_celery_kit.worker.start_steps import STEPS, say, take
from airflow_celery_kit.worker.way_out import LOOK_SECONDS, Stop, task_processes

AWAITED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}
# Longer than any reconnect of a worker to a broker that answers.
SILENT_SECONDS = 45.0
# Longer than a pool process needs to report the end of its task, whose own process is gone by then.
IDLE_SECONDS = 15.0
ANSWERS = "its broker answers"


@dataclass
class Watch:
    """Decides when to end a silent worker. `fault` says why it is, nothing while that is not its own fault; times are steady, in seconds."""

    fault: Callable[[], str]
    why: str = ""
    since: float = 0.0
    busy_at: float = float("-inf")

    def to_end(self, age: float | None, busy: bool, now: float) -> str:
        """Return why to end a worker of that beat age, nothing where it is to be left alone.

        It has been silent for SILENT_SECONDS for the same reason, and idle for IDLE_SECONDS. `age` is None before the first beat.
        """
        why = self.fault() if is_silent(age) else ""
        if why != self.why:
            self.why, self.since = why, now
        if busy:
            self.busy_at = now
        return why if now - self.since >= SILENT_SECONDS and now - self.busy_at >= IDLE_SECONDS else ""


def is_silent(age: float | None) -> bool:
    """Return whether a worker that beat before beats no more."""
    return age is not None and age >= LOOK_SECONDS * 2


def end(process: subprocess.Popen[bytes], why: str) -> None:
    """Kill the worker; what it forked dies with it."""
    say(f"worker silent for {SILENT_SECONDS:.0f} s while {why}: ending it")
    process.kill()


def last_beat() -> float | None:
    """Return the age of the worker's beat, None before the first one."""
    try:
        return beat_age(os.environ["KIT_BEAT_FILE"])
    except FileNotFoundError:
        return None


def own_fault() -> str:
    """Return why a worker's silence is its own fault; nothing where it is the broker's, or may be."""
    try:
        broker.ask_from_environment()
    except broker.LoginError:
        return ANSWERS
    except OSError as away:
        leave_mark()
        # Who is refused, or hears anything, is not cut off. A signal to stop is not to wait for more questions.
        is_heard = isinstance(away, ConnectionError) or bool(signal.sigpending() & AWAITED)
        return "" if is_heard else cut_off.reason(os.environ)
    return ANSWERS


def leave_mark() -> None:
    """Leave it beside the beat, where the health check finds it, that the broker does not answer."""
    # Without the mark, as on a full disk, the worker is judged a little early.
    with contextlib.suppress(OSError):
        away_mark().touch()


def main(command: list[str]) -> int:
    """Run the worker until it ends; return its exit code, 1 when it was ended here, `os.EX_CONFIG` when it may not start."""
    for left in (Path(os.environ["KIT_BEAT_FILE"]), away_mark()):
        left.unlink(missing_ok=True)
    leaving.forget()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if refused := take(STEPS, os.environ):
        return refused
    signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
    process = start(command)
    stop = Stop(process, float(os.environ["KIT_STOP_GRACE"].rstrip("s")))
    watch = Watch(own_fault)
    while process.poll() is None:
        if (received := signal.sigtimedwait(AWAITED, stop.next_step())) and received.si_signo != signal.SIGCHLD:
            stop.hand_on(received.si_signo)
        stop.go_on()
        if received or stop.begun is not None:
            continue
        why = watch.to_end(last_beat(), bool(task_processes(process.pid)), time.monotonic())
        # To ask took seconds, in which it may have come back.
        if why and is_silent(last_beat()) and not task_processes(process.pid):
            end(process, why)
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
