"""Runs in: your shell, as `make pages`; when the page in Airflow's UI is painted with a hundred thousand tasks on record, and what it costs.

Starts a stack of its own, fills its journal by SQL with tasks of the last hundred minutes, a thousand a minute, and opens each view in a
browser that has nothing of it yet, in turn with Airflow's own list of Dags. Writes docs/reference/page.md. Nothing else may run meanwhile.
"""

import contextlib
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2

from tests.benchmarks import cpu
from tests.benchmarks.evidence import FOLDER
from tests.benchmarks.pages import FILL_EVENTS, FILL_RUNS, FILL_TASKS
from tests.benchmarks.sides import Side, running
from tests.stack.faults.evidence import machine
from tests.stack.harness.browser import SECONDS, chromium, logged_in, started

PAGE = FOLDER / "page.md"
TASKS, MINUTES, RUN_TASKS = 100_000, 100, 50
DAG = "bench_wide_9"
LOADS, OPEN_SECONDS = 10, 60
BAR_SECONDS, BAR_CORE = 1.0, 0.01
# What each view shows once it has what it asked for.
VIEWS = {
    "overview": ("/plugin/kit?view=overview", "text=Succeeded or failed in the last hour"),
    "workflows": ("/plugin/kit?view=workflows", f"text={DAG}"),
    "tasks": ("/plugin/kit?view=tasks", f"text={DAG}"),
    "Airflow's own list of Dags": ("/dags", f"text={DAG}"),
}
PAINTED = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


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


def paint(browser: Any, login: Any, where: str, view: str, awaited: str) -> tuple[float, float]:
    """Open a view in a new window; return after how many seconds something is painted first, and what was asked for is shown."""
    context = browser.new_context(base_url=where, storage_state=login, viewport={"width": 1500, "height": 1000})
    opened = context.new_page()
    begun = time.perf_counter()
    opened.goto(view, wait_until="commit")
    opened.locator(awaited).first.wait_for(timeout=SECONDS)
    shown = time.perf_counter() - begun
    first = float(opened.evaluate(PAINTED)) / 1000
    context.close()
    return first, shown


def cost(side: Side, browser: Any, login: Any, where: str) -> tuple[float, float]:
    """Return what all services use, as a share of one core, while nobody looks and while one person looks at the overview."""
    shares = []
    for view in (None, VIEWS["overview"][0]):
        context = browser.new_context(base_url=where, storage_state=login)
        if view:
            context.new_page().goto(view)
        time.sleep(10)
        before = cpu.seconds(side.stack.settings)
        time.sleep(OPEN_SECONDS)
        shares.append(sum(cpu.spent(before, cpu.seconds(side.stack.settings)).values()) / OPEN_SECONDS)
        context.close()
    return shares[0], shares[1]


def page(seen: dict[str, list[tuple[float, float]]], shares: tuple[float, float]) -> str:
    """Return the page."""
    lines = [
        f"# The page with {TASKS:,} tasks on record",
        "",
        f"Written by `make pages`: {TASKS:,} attempts of the last {MINUTES} minutes, a thousand a minute, embedded runtime, headless Chromium",
        f"on the same machine; each view {LOADS} times in turn, in a window without a cache. First paint is the browser's own figure",
        "(first contentful paint); shown is when what was asked for stands there.",
        "",
        f"Machine: {machine()}. Date: {datetime.now(UTC):%Y-%m-%d}.",
        "",
        "| View | first paint, s | shown, s |",
        "|---|---|---|",
    ]
    for name, found in seen.items():
        first, shown = (statistics.median(one) for one in zip(*found, strict=True))
        lines.append(f"| {name} | {first:.2f} | {shown:.2f} |")
    quiet, looked_at = shares
    return "\n".join([
        *lines, "",
        f"One person who looks at the overview costs all services together {looked_at - quiet:.1%} of a core: {looked_at:.1%} with,",
        f"{quiet:.1%} without, {OPEN_SECONDS} s each.",
    ]) + "\n"  # fmt: skip


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
            seen: dict[str, list[tuple[float, float]]] = {name: [] for name in VIEWS}
            for _ in range(LOADS):
                for name, (view, awaited) in VIEWS.items():
                    seen[name].append(paint(browser, login, where, view, awaited))
            shares = cost(side, browser, login, where)
    PAGE.write_text(page(seen, shares))
    print(PAGE.read_text())
    late = any(statistics.median(first for first, _ in found) > BAR_SECONDS for found in seen.values())
    return int(late or shares[1] - shares[0] > BAR_CORE)


if __name__ == "__main__":
    sys.exit(main())
