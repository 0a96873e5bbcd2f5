"""Runs in: stack tests; three workers of four slots for the fault suite, on each runtime and with stock settings.

By default each row runs once, on the runtime its table names, with outages of 20 s. `--faults=full` runs every row at full
length in every column; `--columns` chooses among them and `--evidence` names the file that what was seen is appended to.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_celery_kit import env_file
from tests.slack import PATIENCE
from tests.stack.conftest import leaving, missing, ports_from, show_wreck
from tests.stack.faults import health, inject
from tests.stack.faults.evidence import Evidence
from tests.stack.faults.faults import BOTH, EMBEDDED, SHORT_SECONDS, Fault
from tests.stack.harness import record
from tests.stack.harness.load import Load
from tests.stack.harness.stack import Stack
from tests.stack.harness.wait import wait_for
from tests.stack.harness.workspace import copy_checkout

HERE = Path(__file__).parent
STOCK = HERE.parent / "stock"
COLUMNS = (*BOTH, "stock")
WORKERS = tuple(f"airflow-worker-{number}" for number in (1, 2, 3))
FIRST_PORTS = {"embedded": 23080, "compose": 24080, "stock": 25080}
# Room for a hundred tasks that wait beside those that run.
KNOBS = {
    "WORKERS": "3", "COMPOSE_PROFILES": "", "PARALLELISM": "128", "MAX_ACTIVE_TASKS_PER_DAG": "128",
}  # fmt: skip
# What Docker gives a container that says nothing.
STOCK_KNOBS = {"CONTROLLERS": "0", "STOP_GRACE": "10s"}


def fault_of(item: pytest.Function | pytest.Metafunc) -> Fault:
    """Return the fault that a test injects, from its marker `fault`."""
    definition = item.definition if isinstance(item, pytest.Metafunc) else item
    marker = definition.get_closest_marker("fault")
    assert marker, f"{definition.nodeid} names no fault"
    return Fault(marker.args[0])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test in the columns that exist for its fault."""
    if "faulty" in metafunc.fixturenames:
        metafunc.parametrize("faulty", columns(metafunc.config, fault_of(metafunc)), indirect=True, scope="session")


def columns(config: pytest.Config, fault: Fault) -> list[str]:
    """Return where a fault is injected in this session."""
    if config.getoption("--faults") == "short":
        return [fault.row.ci]
    chosen = config.getoption("--columns").split(",")
    if unknown := set(chosen) - set(COLUMNS):
        raise pytest.UsageError(f"no column {', '.join(sorted(unknown))}: choose among {', '.join(COLUMNS)}")
    exists = (*fault.row.runtimes, *(["stock"] if fault.row.stock else []))
    return [column for column in COLUMNS if column in exists and column in chosen]


@pytest.fixture(scope="session")
def faulty(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """A ready stack with three workers and the Dags of these tests; the param is its column."""
    column = request.param
    runtime = EMBEDDED if column == "stock" else column
    if reason := missing(runtime):
        if os.environ.get("CI"):
            pytest.fail(f"CI must test the {runtime} runtime: {reason}")
        pytest.skip(f"{runtime} left out: {reason}")
    kept = os.environ.get("KIT_KEEP_STACK")
    folder = (Path(kept) if kept else tmp_path_factory.mktemp("faults")) / column
    root = copy_checkout(folder)
    started = Stack(root, runtime)
    if not kept:
        leaving(request.config).callback(started.remove)
    leaving(request.config).callback(show_wreck, request, started)
    start(started, column)
    return started


def start(fresh: Stack, column: str) -> None:
    """Start a stack for faults; for the column `stock`, with Airflow's own configuration laid over the kit's."""
    if column == "stock":
        shutil.copytree(STOCK, fresh.root, dirs_exist_ok=True)
    for path in (HERE.parent / "dags").glob("*.py"):
        shutil.copy(path, fresh.root / "dags")
    if not (fresh.root / ".env").exists():
        fresh.make("init")
        project = {"COMPOSE_PROJECT_NAME": f"{fresh.settings.project}-faults"}
        env_file.record(
            fresh.settings,
            project | KNOBS | (STOCK_KNOBS if column == "stock" else {}) | ports_from(FIRST_PORTS[column]),
        )
    fresh.make("up")


def start_anew(stack: Stack) -> None:
    """Throw away what a failed row left: its tasks, its queue, its databases."""
    stack.kit("down", "--delete-data", "--yes")
    stack.make("up")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    """Keep what went wrong in a test for its fixtures.

    A bar that stock settings miss is a result; a harness that broke, or failed before its fault had struck, is not.
    """
    report = yield
    if call.when == "call":
        held = call.excinfo is None or (
            isinstance(call.excinfo.value, AssertionError) and item.funcargs["evidence"].has_struck
        )
        item.stash[PROBLEM] = "" if call.excinfo is None else first_line(call.excinfo.value)
        item.stash[BROKEN] = not held
        if report.failed and item.callspec.params["faulty"] == "stock" and not item.stash[BROKEN]:
            report.outcome, report.wasxfail = "skipped", "stock settings do not survive it"
    return report


PROBLEM: pytest.StashKey[str] = pytest.StashKey()
BROKEN: pytest.StashKey[bool] = pytest.StashKey()


def first_line(problem: BaseException) -> str:
    """Return an exception in one line."""
    said = str(problem).strip().partition("\n")[0]
    return said if said and isinstance(problem, AssertionError) else f"{type(problem).__name__}: {said}"


@pytest.fixture
def evidence(request: pytest.FixtureRequest, faulty: Stack) -> Iterator[Evidence]:
    """The stack, whole and idle, with what its test sees; afterwards no slot of the executor may be held."""
    full = request.config.getoption("--faults") == "full"
    fault = fault_of(request.node)
    outage = fault.row.outage if full else min(fault.row.outage, SHORT_SECONDS)
    seen = Evidence(faulty, request.node.callspec.params["faulty"], fault, outage, slack=1.0 if full else PATIENCE)
    wait_whole(faulty)
    with health.recording(seen) as watch:
        yield seen
        problem = request.node.stash.get(PROBLEM, "")
        problem = problem or health.unsaid(seen, watch)
    assert problem or seen.has_struck or fault in (Fault.NONE, Fault.CALM), (
        "the test has not shown that its fault happened"
    )
    problem = problem or leftovers(faulty, seen.is_stock)
    if (path := request.config.getoption("--evidence")) and not request.node.stash.get(BROKEN, False):
        seen.record(Path(path), problem)
    if problem:
        start_anew(faulty)
    assert not problem or request.node.stash[PROBLEM] or seen.is_stock, problem


def leftovers(stack: Stack, is_stock: bool) -> str:
    """Return what is still held now that all is done, nothing when every slot and every message is back and all is on record."""
    try:
        inject.wait_slots_back(stack)
        if not is_stock:
            wait_for("the last message to be acknowledged", lambda: stack.broker().hlen("unacked") == 0, 60)
            record.wait_same(stack)
    except AssertionError as held:
        return str(held)
    return ""


def wait_due(load: Load) -> None:
    """Wait until every task of a load is due, in Airflow or in the broker: nothing but the broker keeps it from starting."""
    wait_for("tasks that are due", lambda: set(load.states()) == {"queued", "scheduled"}, 120, load.states)


def wait_whole(stack: Stack) -> None:
    """Wait until the stack is ready with its three workers and nothing is under way."""
    wait_for(
        "a whole stack",
        lambda: (seen := stack.status())["ready"] and len(seen["workers"]) >= len(WORKERS),
        180,
        lambda: stack.status()["reasons"],
    )
