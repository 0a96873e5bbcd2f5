"""Runs in: your shell; finds the processes of a Docker engine and ends them."""

import contextlib
import os
import signal
from pathlib import Path

from engine.commands import Failure, tries

STOP_SECONDS = 60


def command_line(pid):
    """The words of a process's command line; one empty word once the process is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return [""]


def pid_in(file):
    """The process id that a file holds, or None."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def pid_file(folder):
    """Where dockerd writes its process id."""
    return folder / "dockerd.pid"


def recorded_daemon(folder):
    """The pid of the dockerd that was started with this folder, or None if it does not run any more."""
    pid = pid_in(pid_file(folder))
    return pid if pid and f"--pidfile={pid_file(folder)}" in command_line(pid) else None


def containerd_child(pid):
    """The containerd that this dockerd started for itself, or None."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            if Path(command_line(child)[0]).name == "containerd":
                return int(child)
    return None


def end(pid):
    """Ask one process to end and wait for it."""
    words = command_line(pid)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    for _ in tries(STOP_SECONDS):
        if not words[0] or command_line(pid) != words:
            return
    raise Failure(f"process {pid} ({words[0]}) did not end within {STOP_SECONDS} s")
