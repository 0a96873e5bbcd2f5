"""Runs in: Celery workers; how much of the CPU that a worker may use is in use.

A container's limit lies in its control group: `cpu.max` and `cpu.stat` of version 2, `cpu.cfs_quota_us` and `cpuacct.usage` of version 1
(https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu, https://docs.kernel.org/scheduler/sched-bwc.html).
"""

import time
from collections.abc import Callable
from pathlib import Path

import psutil

GROUP = Path("/sys/fs/cgroup")


class Cpu:
    """Measures between two calls; `group` is where the worker's own control group is mounted."""

    def __init__(self, group: Path = GROUP, clock: Callable[[], float] = time.monotonic) -> None:
        self.group, self.clock = group, clock
        self.last = (clock(), used_seconds(group))

    def busy(self) -> float:
        """Return the share in use since the last call, 0 to 1: of the machine or of the worker's own limit, whichever is scarcer."""
        return round(min(1.0, max(psutil.cpu_percent() / 100, self._of_limit())), 2)

    def _of_limit(self) -> float:
        before, self.last = self.last, (self.clock(), used_seconds(self.group))
        seconds, used = (now - then for now, then in zip(self.last, before, strict=True))
        cores = limit(self.group)
        return used / (seconds * cores) if cores and seconds > 0 else 0.0


def limit(group: Path = GROUP) -> float:
    """Return how many cores a control group may use, 0 where nothing limits it."""
    found = _words(group / "cpu.max") or _words(group / "cpu/cpu.cfs_quota_us") + _words(
        group / "cpu/cpu.cfs_period_us"
    )
    if len(found) < 2 or found[0] in ("max", "-1"):
        return 0.0
    return int(found[0]) / int(found[1])


def used_seconds(group: Path = GROUP) -> float:
    """Return the CPU seconds that a control group has used, 0 where nobody counts."""
    counted = _words(group / "cpu.stat")
    if "usage_usec" in counted:
        return int(counted[counted.index("usage_usec") + 1]) / 1e6
    return int((_words(group / "cpuacct/cpuacct.usage") or ["0"])[0]) / 1e9


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
