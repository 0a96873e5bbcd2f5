"""Runs in: stack tests; one stack for all tests of a runtime, started as the README says and removed after the last of them.

A runtime that is not there is left out with the reason on a laptop and fails in CI (`CI=true`). `KIT_KEEP_STACK=folder`
keeps each stack there, running, and takes it again the next time.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from airflow_celery_kit import env_file
from airflow_celery_kit.runtimes import docker_engine, ports
from tests.conftest import scope_of
from tests.otlp import Collector, collecting
from tests.stack.harness.stack import Stack
from tests.stack.harness.workspace import copy_checkout

HERE = Path(__file__).parent
# The longer one first.
RUNTIMES = ("compose", "embedded")
# Where each stack looks for free ports: the two may start at the same time, beside one on the ports of `.env.example`.
FIRST_PORTS = {"embedded": 21080, "compose": 22080}

KNOBS = {
    "LONGEST_WAIT": "40s",
    "WORKER_QUEUES": "default,fast_tasks",
    "HEAVY_WORKER_QUEUES": "heavy,heavy_tasks",
}


def missing(runtime: str) -> str:
    """Return why a runtime cannot be tested here, nothing when it can."""
    return docker_engine.why_not() if runtime == "compose" else ""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which runtimes the stack tests left out, and why."""
    for runtime in RUNTIMES:
        if reason := missing(runtime):
            terminalreporter.write_line(f"stack tests left out the {runtime} runtime: {reason}")


LEAVING: pytest.StashKey[ExitStack] = pytest.StashKey()


def leaving(config: pytest.Config) -> ExitStack:
    """Return what is to be removed with the last test that needs it."""
    return config.stash.setdefault(LEAVING, ExitStack())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what has been seen on one runtime and differs nowhere."""
    if config.getoption("--everywhere"):
        return
    twice = [item for item in items if item.get_closest_marker("once") and scope_of(item.nodeid) == "stack-compose"]
    config.hook.pytest_deselected(items=twice)
    items[:] = [item for item in items if item not in twice]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Remove a stack after its last test: pytest would keep it until the session ends, and its services busy with their health."""
    try:
        return (yield)
    finally:
        if nextitem is None or scope_of(nextitem.nodeid) != scope_of(item.nodeid):
            leaving(item.config).close()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove what is left when the tests were interrupted."""
    leaving(session.config).close()


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """What a user would run beside the stack for its traces."""
    with collecting() as found:
        yield found


@pytest.fixture(scope="session", params=RUNTIMES)
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Stack:
    """A ready stack with the Dags of these tests."""
    runtime = request.param
    if reason := missing(runtime):
        if os.environ.get("CI"):
            pytest.fail(f"CI must test the {runtime} runtime: {reason}")
        pytest.skip(f"{runtime} left out: {reason}")
    kept = os.environ.get("KIT_KEEP_STACK")
    root = copy_checkout((Path(kept) if kept else tmp_path_factory.mktemp("stack")) / runtime)
    started = Stack(root, runtime)
    if not kept:
        leaving(request.config).callback(started.remove)
    leaving(request.config).callback(show_wreck, request, started)
    beside = {
        "embedded": {"TRACES": "true", "OTLP_ENDPOINT": collector.endpoint},
        "compose": {"COMPOSE_PROFILES": "heavy,prometheus"},
    }
    start(started, beside[runtime])
    return started


def start(fresh: Stack, knobs: dict[str, str]) -> None:
    """Start a stack as the README says, with the Dags of these tests."""
    if not (fresh.root / ".env").exists():
        fresh.make("init")
        env_file.record(fresh.settings, KNOBS | ports_from(FIRST_PORTS[fresh.runtime]))
    env_file.record(fresh.settings, knobs)
    fresh.make("up")
    for path in (HERE / "dags").glob("*.py"):
        shutil.copy(path, fresh.root / "dags")


def ports_from(first: int) -> dict[str, str]:
    """Return a free port for each knob, from `first` on."""
    chosen: dict[str, str] = {}
    for knob in ("AIRFLOW_PORT", "FLOWER_PORT", "PROMETHEUS_PORT", "POSTGRES_PORT", "VALKEY_PORT"):
        chosen[knob] = str(ports.next_free(first, taken=frozenset(map(int, chosen.values()))))
    return chosen


def show_wreck(request: pytest.FixtureRequest, wreck: Stack) -> None:
    """Print status and last log lines when a test failed, before everything is removed."""
    if request.session.testsfailed and (wreck.root / ".env").exists():
        print(wreck.kit("status", check=False).stdout)
        print(wreck.kit("logs", "--lines", "15", check=False).stdout[-12000:])
