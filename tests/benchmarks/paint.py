"""Runs in: your shell, as `make pages`; when the page in Airflow's UI is painted with a hundred thousand tasks on record, and what it costs.

Starts a stack of its own, fills its journal by SQL with tasks of the last hundred minutes, a thousand a minute, and opens each view in turn
with Airflow's own list of Dags, in new windows and in old ones. Writes docs/reference/page.md. Nothing else may run meanwhile.
"""

import contextlib
import math
import signal
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2

from tests.benchmarks import cpu
from tests.benchmarks.evidence import FOLDER
from tests.benchmarks.pages import FILL_EVENTS, FILL_RUNS, FILL_TASKS
from tests.benchmarks.sides import Side, running
from tests.ending import heed
from tests.stack.faults.evidence import machine
from tests.stack.harness.browser import SECONDS, chromium, logged_in, started

PAGE = FOLDER / "page.md"
TASKS, MINUTES, RUN_TASKS = 100_000, 100, 50
DAG = "bench_wide_9"
LOADS, OPEN_SECONDS, SETTLE_SECONDS = 5, 60, 10
BAR_SECONDS, BAR_CORE = 1.0, 0.01
# What each view shows once it has what it asked for.
OWN = "/plugin/kit"
VIEWS = {
    "overview": ("/plugin/kit?view=overview", "text=Succeeded or failed in the last hour"),
    "workflows": ("/plugin/kit?view=workflows", f"text={DAG}"),
    "tasks": ("/plugin/kit?view=tasks", f"text={DAG}"),
    "Airflow's own list of Dags": ("/dags", f"text={DAG}"),
}
# As the router hears of it when a link of the UI is clicked.
CLICK = "(view) => { history.pushState({}, '', view); dispatchEvent(new PopStateEvent('popstate', { state: {} })); }"
PAINTED = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
# Only the kit's own views have numbers before Airflow's UI is there.
NUMBERS = "() => performance.getEntriesByName('kit-first-numbers')[0]?.startTime ?? NaN"


class Paint(NamedTuple):
    """Seconds until something is there, in a window that has nothing of the UI, in one that has it in its cache, and after a click."""

    new_paint: float
    new_numbers: float
    new_shown: float
    cached_paint: float
    cached_shown: float
    clicked: float


def fill(side: Side) -> None:
    """Put the tasks on record, as those of a Dag that the stack has."""
    settings = side.stack.settings
    address = f"postgresql://postgres:{settings['POSTGRES_PASSWORD']}@127.0.0.1:{settings['POSTGRES_PORT']}/kit"
    with contextlib.closing(psycopg2.connect(address)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("ALTER TABLE journal.event DISABLE TRIGGER USER")
        cursor.execute(FILL_TASKS, {"tasks": TASKS, "days": MINUTES / 1440, "run": RUN_TASKS})
        cursor.execute("UPDATE journal.task SET dag_id = %s", (DAG,))
        cursor.execute(FILL_EVENTS)
        cursor.execute(FILL_RUNS)
        cursor.execute("ALTER TABLE journal.event ENABLE TRIGGER USER")


def paint(browser: Any, login: Any, where: str, view: str, awaited: str) -> Paint:
    """Open a view in a new window, in the same one again, and by a click from Airflow's start page; return when something was there."""
    context = browser.new_context(base_url=where, storage_state=login, viewport={"width": 1500, "height": 1000})
    opened = context.new_page()
    (painted, shown), numbers = load(opened, view, awaited), float(opened.evaluate(NUMBERS)) / 1000
    load(opened, view, awaited)
    again = load(opened, view, awaited)
    load(opened, "/", "text=Dags")
    time.sleep(1)
    begun = time.perf_counter()
    opened.evaluate(CLICK, view)
    opened.locator(awaited).first.wait_for(timeout=SECONDS)
    clicked = time.perf_counter() - begun
    context.close()
    return Paint(painted, numbers, shown, *again, clicked)


def load(opened: Any, view: str, awaited: str) -> tuple[float, float]:
    """Load a view; return after how many seconds something is painted first, and what was asked for is shown."""
    begun = time.perf_counter()
    opened.goto(view, wait_until="commit")
    opened.locator(awaited).first.wait_for(timeout=SECONDS)
    shown = time.perf_counter() - begun
    return float(opened.wait_for_function(PAINTED).json_value()) / 1000, shown


def cost(side: Side, browser: Any, login: Any, where: str) -> tuple[float, float]:
    """Return what all services use, as a share of one core, while nobody looks and while one person looks at the overview; twice in turn."""
    shares: dict[bool, list[float]] = {False: [], True: []}
    for looks in (False, True, False, True):
        context = browser.new_context(base_url=where, storage_state=login)
        if looks:
            load(context.new_page(), *VIEWS["overview"])
        time.sleep(SETTLE_SECONDS)
        before = cpu.seconds(side.stack.settings)
        time.sleep(OPEN_SECONDS)
        shares[looks].append(sum(cpu.spent(before, cpu.seconds(side.stack.settings)).values()) / OPEN_SECONDS)
        context.close()
    return statistics.mean(shares[False]), statistics.mean(shares[True])


def page(seen: dict[str, list[Paint]], shares: tuple[float, float]) -> str:
    """Return the page."""
    lines = [
        f"# The page with {TASKS:,} tasks on record",
        "",
        f"Written by `make pages`: {TASKS:,} attempts of the last {MINUTES} minutes, a thousand a minute, embedded runtime, headless Chromium",
        f"on the same machine; each view {LOADS} times in turn, medians in seconds. First paint is the browser's own figure (first",
        "contentful paint); shown is when what was asked for stands there. A window that was never there before has to fetch and compile",
        "Airflow's UI, which its own list of Dags waits for too; one that was has it in its cache. The kit's page has its title and the",
        "overview's numbers there meanwhile. A click comes from another page of the UI.",
        "",
        f"Machine: {machine()}. Date: {datetime.now(UTC):%Y-%m-%d}.",
        "",
        "| View | new window: first paint | numbers | shown | cached: first paint | shown | a click: shown |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in seen.items():
        cells = " | ".join("-" if math.isnan(value) else f"{value:.2f}" for value in middle(found))
        lines.append(f"| {name} | {cells} |")
    quiet, looked_at = shares
    late = missed(seen)
    return "\n".join([
        *lines, "",
        f"A first paint within {BAR_SECONDS:.0f} s is the bar of the kit's views; {'missed by: ' + ', '.join(late) if late else 'met by all'}.",
        "",
        f"One person who looks at the overview costs all services together {looked_at - quiet:.1%} of a core: {looked_at:.1%} with,",
        f"{quiet:.1%} without, {OPEN_SECONDS} s each, twice in turn.",
    ]) + "\n"  # fmt: skip


def missed(seen: dict[str, list[Paint]]) -> list[str]:
    """Return which of the kit's own views are painted later than the bar, and where."""
    own = {name: middle(found) for name, found in seen.items() if VIEWS[name][0].startswith(OWN)}
    windows = {"a new window": lambda one: one.new_paint, "a cached one": lambda one: one.cached_paint}
    return [
        f"{name} in {window}" for name, one in own.items() for window, of in windows.items() if of(one) > BAR_SECONDS
    ]


def middle(found: list[Paint]) -> Paint:
    """Return the median of each figure."""
    return Paint(*map(statistics.median, zip(*found, strict=True)))


def main() -> int:
    """Fill, measure, write the page; return 1 when a bar is missed."""
    executable = chromium()
    if not executable:
        print("no Chromium on this machine: apt-get install chromium", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), ["kit"]) as (side,):
        fill(side)
        where = side.stack.settings.url("AIRFLOW_PORT")
        with started(executable) as browser:
            login = logged_in(browser, side.stack.settings)
            seen: dict[str, list[Paint]] = {name: [] for name in VIEWS}
            for _ in range(LOADS):
                for name, (view, awaited) in VIEWS.items():
                    seen[name].append(paint(browser, login, where, view, awaited))
            shares = cost(side, browser, login, where)
    PAGE.write_text(page(seen, shares))
    print(PAGE.read_text())
    late = missed(seen)
    return int(bool(late) or shares[1] - shares[0] > BAR_CORE)


if __name__ == "__main__":
    heed(signal.SIGTERM)
    sys.exit(main())
