"""Runs in: stack tests; the processes of a stack as this machine sees them."""

import contextlib
from pathlib import Path

import psutil


def process_environment(pid: int) -> dict[str, str]:
    """Return the environment that a process was started with."""
    raw = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    return dict(pair.split("=", 1) for pair in raw.split("\0") if "=" in pair)


def alive(process: psutil.Process) -> bool:
    """Return whether a process runs and is not a zombie. Its id alone does not say so: a busy machine gives it out again within minutes."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def process_tree(pid: int) -> dict[psutil.Process, str]:
    """Return a process and its descendants with their command lines; one that is ending has none any more."""
    top, tree = psutil.Process(pid), {}
    for process in (top, *top.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            tree[process] = " ".join(process.cmdline())
    return tree
