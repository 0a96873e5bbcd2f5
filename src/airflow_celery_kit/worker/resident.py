"""Runs in: Celery workers; how much memory a worker and all its processes have, from the kernel's own list of children (proc(5))."""

import os
from pathlib import Path

PROC = Path("/proc")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def memory_bytes(pid: int | None = None, proc: Path = PROC) -> int | None:
    """Return the resident memory of a process, this one unless told otherwise, and its descendants; None where the kernel does not say.

    What processes share counts in each of them.
    """
    pages, waiting, seen = 0, [str(pid or os.getpid())], False
    while waiting:
        one = proc / waiting.pop()
        try:
            pages += int((one / "statm").read_text().split()[1])
            for thread in (one / "task").iterdir():
                waiting += (thread / "children").read_text().split()
        except OSError:
            # Ended meanwhile, or a kernel without such a list.
            continue
        seen = True
    return pages * PAGE_BYTES if seen else None
