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


@dataclass
class Watch:
    """Decides when to end a silent worker. `fault` says why it is its own, nothing while its broker is away; times are steady, in seconds."""

    fault: Callable[[], str]
    since: float | None = None

    def to_end(self, age: float | None, busy: bool, now: float) -> str:
        """Return why to end a worker of that beat age: it has been silent for SILENT_SECONDS by its own fault and runs no task.

        Nothing where it is to be left alone; `age` is None before the first beat.
        """
        why = "" if age is None or age < LOOK_SECONDS * 2 else self.fault()
        if not why:
            self.since = None
            return ""
        self.since = now if self.since is None else self.since
        return "" if busy or now - self.since < SILENT_SECONDS else why


def end(process: subprocess.Popen[bytes], why: str) -> None:
    """Kill the worker; what it forked dies with it."""
    say(f"worker silent for {SILENT_SECONDS:.0f} s while {why}: ending it")
    process.kill()


def own_fault() -> str:
    """Return why a worker's silence is its own fault; nothing where it is the broker's."""
    return "its broker answers" if broker_answers() else cut_off.reason(os.environ)


def last_beat() -> float | None:
    """Return the age of the worker's beat, None before the first one."""
    try:
        return beat_age(os.environ["KIT_BEAT_FILE"])
    except FileNotFoundError:
        return None


def broker_answers() -> bool:
    """Return whether the broker does, be it that it refuses the login; that it does not is left beside the beat, where the health check finds it."""
    try:
        broker.ask_from_environment()
    except broker.LoginError:
        return True
    except OSError:
        # Without the mark, as on a full disk, the worker is judged a little early.
        with contextlib.suppress(OSError):
            away_mark().touch()
        return False
    return True


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
        if why := watch.to_end(last_beat(), bool(task_processes(process.pid)), time.monotonic()):
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
