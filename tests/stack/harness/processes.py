"""Runs in: stack tests; the processes of a stack as this machine sees them."""

import contextlib
import os
from pathlib import Path

import psutil


def process_environment(pid: int) -> dict[str, str]:
    """Return the environment that a process was started with."""
    raw = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    return dict(pair.split("=", 1) for pair in raw.split("\0") if "=" in pair)


def alive(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def process_tree(pid: int) -> dict[int, str]:
    """Return a process and its descendants with their command lines; one that is ending has none any more."""
    top, tree = psutil.Process(pid), {}
    for process in (top, *top.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            tree[process.pid] = " ".join(process.cmdline())
    return tree
