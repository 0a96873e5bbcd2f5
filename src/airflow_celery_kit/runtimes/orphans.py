"""Runs in: the embedded runtime; finds and ends what a supervisor that died left running.

The supervisor leads a session of its own and everything it starts stays in it, whatever else a process changes.
"""

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import psutil

# Workers finish nothing here: nobody supervises them any more, and their broker is ending too.
TERM_SECONDS = 20.0


@dataclass(frozen=True)
class Session:
    """The session of the last supervisor, as recorded in `file`."""

    file: Path

    def record(self, pid: int) -> None:
        """Remember the supervisor's process id, which is its session's id."""
        self.file.write_text(str(pid))

    def processes(self) -> list[psutil.Process]:
        """Return the processes of the recorded session; none when there was no supervisor."""
        session = _number_in(self.file)
        if session is None:
            return []
        since = self.file.stat().st_mtime - 60
        return [one for one in psutil.process_iter() if _session_of(one) == session and one.create_time() > since]

    def end(self) -> None:
        """End the session's processes: ask first, kill what is left after TERM_SECONDS."""
        found = self.processes()
        for one in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.terminate()
        _, left = psutil.wait_procs(found, timeout=TERM_SECONDS)
        for one in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(left, timeout=5)


def end_last_group(file: Path) -> None:
    """Kill what an instance's last process left in its process group, and note this process's own in `file`.

    Supervisor makes each process that it starts the leader of a group, and looks after the leader alone.
    """
    if (group := _number_in(file)) is not None:
        for one in psutil.process_iter():
            if _session_of(one) == os.getsid(0) and _group_of(one) == group != os.getpgrp():
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.send_signal(signal.SIGKILL)
    # A full disk keeps nothing from starting; what was there has been cut off by then.
    with contextlib.suppress(OSError):
        file.write_text(str(os.getpgrp()))


def _number_in(file: Path) -> int | None:
    """Return the process id in a file, None where it is missing or was cut off: a full disk must keep nothing from starting."""
    text = file.read_text() if file.is_file() else ""
    return int(text) if text.isdigit() else None


def _group_of(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return None


def _session_of(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid) if process.status() != psutil.STATUS_ZOMBIE else None
    except (ProcessLookupError, PermissionError, psutil.NoSuchProcess):
        return None
