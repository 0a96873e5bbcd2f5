"""Runs in: Celery workers; how much memory is left to a worker: of the machine, or of its own limit where that is less.

A container's limit lies in its control group: `memory.max` and `memory.current` of version 2, `memory.limit_in_bytes` and
`memory.usage_in_bytes` of version 1. What the kernel keeps of files is given back when it is needed.
"""

from pathlib import Path

import psutil

GROUP = Path("/sys/fs/cgroup")
PLACES = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)


def left(group: Path = GROUP) -> dict[str, int]:
    """Return the bytes that are `free`, of how many (`total`)."""
    machine = psutil.virtual_memory()
    own = _of_group(group)
    if own and own["total"] < machine.total:
        return {"free": min(own["free"], machine.available), "total": own["total"]}
    return {"free": machine.available, "total": machine.total}


def _of_group(group: Path) -> dict[str, int] | None:
    for limit, used, stat, files in PLACES:
        try:
            most, now = (group / limit).read_text().strip(), int((group / used).read_text())
            words = (group / stat).read_text().split()
        except (OSError, ValueError):
            continue
        if not most.isdigit():
            return None
        kept = int(words[words.index(files) + 1]) if files in words else 0
        return {"free": max(0, int(most) - now + kept), "total": int(most)}
    return None
