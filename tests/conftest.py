"""Runs in: every test session; which tests may run at the same time (`make test` runs two processes where there is room)."""

import os
import re
from typing import Any

import psutil
import pytest

# Their bare asserts say what was compared, as those in test files do.
pytest.register_assert_rewrite("tests.stack.harness", "tests.stack.faults", "tests.contract.smoke.harness")

# A second stack beside the first takes two cores to share and this much memory.
ROOM = 6 * 1024**3


def pytest_xdist_auto_num_workers() -> int:
    """Return how many test processes `-n auto` means here."""
    return 2 if (os.cpu_count() or 1) > 1 and psutil.virtual_memory().available > ROOM else 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return xdist's scheduler that keeps a scope's tests in one process and in their order, with scopes of our own.

    Marks cannot say it: xdist 3.8 loses its group marks under pytest 9.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByWhatTheyShare(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope_of(nodeid)

    return ByWhatTheyShare(config, log)


def scope_of(nodeid: str) -> str:
    """Return what tests share that must run in one process: `stack-compose` for those on the Compose stack, else their folder."""
    kind = "faults" if "/faults/" in nodeid else nodeid.split("/")[1]
    runtime = re.search(r"\[(embedded|compose|stock)\b", nodeid) if kind in ("stack", "faults") else None
    return f"{kind}-{runtime[1]}" if runtime else kind


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the fault suite (`tests/stack/faults`)."""
    group = parser.getgroup("faults")
    group.addoption(
        "--faults",
        choices=("short", "full"),
        default="short",
        help="outages of 20 s once, or every row in every column",
    )
    group.addoption("--columns", default="embedded,compose,stock", help="with --faults=full: which columns")
    group.addoption("--evidence", help="append what each row has seen to this file, as JSON lines")
