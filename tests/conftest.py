"""Runs in: every test session; which tests may run at the same time (`make test` runs two processes where there is room)."""

import os
from pathlib import Path

import psutil
import pytest

HERE = Path(__file__).parent
# A second stack beside the first takes two cores to share and this much memory.
ROOM = 6 * 1024**3


def pytest_xdist_auto_num_workers() -> int:
    """Return how many test processes `-n auto` means here."""
    return 2 if (os.cpu_count() or 1) > 1 and psutil.virtual_memory().available > ROOM else 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep in one process what shares servers or a stack: a kind of test, and among stack tests a runtime."""
    for item in items:
        kind = item.path.relative_to(HERE).parts[0]
        runtime = getattr(item, "callspec", None) and item.callspec.params.get("stack")
        item.add_marker(pytest.mark.xdist_group(runtime if kind == "stack" and runtime else kind))
