"""Runs in: every test session; which tests may run at the same time (`make test` runs up to three processes where there is room)."""

import os
import re
from typing import Any

import psutil
import pytest

from tests import ending

# Their bare asserts say what was compared, as those in test files do.
pytest.register_assert_rewrite("tests.stack.harness", "tests.stack.faults", "tests.contract.smoke.harness")

# Each stack beside the first takes this much memory, and two cores are to be shared. Most of a test's time on a stack is waiting.
ROOM = 6 * 1024**3
MOST = 3
# The longest first, so that processes end together, and no three stacks at once.
SCOPES = ("faults-embedded", "stack-embedded", "contract", "faults-compose", "stack-compose", "stack", "unit")


def pytest_configure(config: pytest.Config) -> None:
    """Let SIGTERM end a session as Ctrl-C does."""
    ending.heed_in(config)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Let test processes that were interrupted remove their stacks."""
    if exitstatus == pytest.ExitCode.INTERRUPTED:
        ending.wait_for_test_processes(session)


def pytest_xdist_auto_num_workers() -> int:
    """Return how many test processes `-n auto` means here."""
    return min(MOST, 1 + psutil.virtual_memory().available // ROOM) if (os.cpu_count() or 1) > 1 else 1


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put tests together that share a stack, so that it starts once, and those that leave it down at the end of them."""
    longest_first = hasattr(config, "workerinput")
    items.sort(key=lambda item: (place(scope_of(item.nodeid), longest_first), bool(item.get_closest_marker("last"))))


def place(scope: str, longest_first: bool) -> int:
    """Return when the tests of a scope run; where one process runs all of them, those that take a moment come first."""
    known = SCOPES.index(scope) if scope in SCOPES else 0
    return known if longest_first else -known


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
    runtime = re.search(r"[\[-](embedded|compose|stock)\b", nodeid) if kind in ("stack", "faults") else None
    return f"{kind}-{runtime[1]}" if runtime else kind


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the stack tests, and of the fault suite among them (`tests/stack/faults`)."""
    group = parser.getgroup("faults")
    group.addoption(
        "--faults",
        choices=("short", "full"),
        default="short",
        help="outages of 20 s once, or every row in every column",
    )
    group.addoption("--columns", default="embedded,compose,stock", help="with --faults=full: which columns")
    parser.addoption("--everywhere", action="store_true", help="stack tests marked `once` run on each runtime, too")
    group.addoption("--evidence", help="append what each row has seen to this file, as JSON lines")
