"""Runs in: tests; what a machine that is slow, or busy with other tests, is forgiven."""

import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable

# Where other tests run beside this one (pytest-xdist), on a machine that others may share too, all that is waited for may
# take this many times as long. Bars are measured apart.
PATIENCE = 4.0 if "PYTEST_XDIST_WORKER" in os.environ else 1.0
CHECK_SECONDS = 0.1
# Where a Python that does nothing takes as long as a whole check should, a check is measured against that.
CHECK_PYTHONS = 5


def most_for_a_check() -> float:
    """Return the most CPU seconds that a check may use: a tenth of one, more only where Python itself is slow to start."""
    bare = median_cpu(lambda: subprocess.run([sys.executable, "-c", ""], check=False))
    return max(CHECK_SECONDS, CHECK_PYTHONS * bare)


def median_cpu(run: Callable[[], subprocess.CompletedProcess]) -> float:
    """Run a command five times; return the median of the CPU seconds that its process used. Raises AssertionError when it fails."""
    costs = []
    for _ in range(5):
        before = cpu_of_children()
        assert run().returncode == 0
        costs.append(cpu_of_children() - before)
    return statistics.median(costs)


def cpu_of_children() -> float:
    """Return the CPU seconds of the processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
