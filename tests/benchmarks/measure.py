"""Runs in: your shell, as `make measure`; measures start, memory and health checks of both runtimes in fresh checkouts.

Writes docs/reference/measurements.md: what, how much, on which machine, when. Nothing else may run meanwhile.
"""

import os
import platform
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from tests.ending import heed
from tests.stack.conftest import RUNTIMES, missing
from tests.stack.harness.stack import Stack
from tests.stack.harness.workspace import ROOT, copy_checkout
from tests.stack.test_health import measured

PAGE = ROOT / "docs" / "reference" / "measurements.md"
# Caches of a fresh start have settled and the Dag processor has read every file by then.
IDLE_SECONDS = 60
MB = 1024 * 1024
Row = tuple[str, str, str]


def seconds(action: Callable[[], Any]) -> float:
    """Return how long `action` takes."""
    begun = time.monotonic()
    action()
    return time.monotonic() - begun


def pss(pid: int) -> int:
    """Return the proportional set size of a process tree in bytes (Linux, /proc/PID/smaps_rollup)."""
    total = 0
    for process in (top := psutil.Process(pid), *top.children(recursive=True)):
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def start_rows(stack: Stack) -> Iterator[Row]:
    """Measure the starts that each runtime has a bar for; the stack is up afterwards."""
    if stack.runtime == "embedded":
        yield (
            "`make up` in a fresh checkout to a registered worker",
            f"{seconds(lambda: stack.make('up')):.0f} s",
            "under 120 s",
        )
        stack.make("down")
        yield "`make up` after `make down`", f"{seconds(lambda: stack.make('up')):.0f} s", "under 45 s"
        return
    yield "`make up` in a fresh checkout, images built", f"{seconds(lambda: stack.make('up')):.0f} s", "-"
    stack.make("down")
    plain = seconds(lambda: stack.call(["docker", "compose", "up", "-d", "--wait"]))
    yield "`docker compose up -d --wait` with images built", f"{plain:.0f} s", "under 120 s"


def memory_rows(stack: Stack) -> Iterator[Row]:
    """Measure the idle stack's memory by service."""
    time.sleep(IDLE_SECONDS)
    used = {one["instance"]: pss(one["pid"]) for one in stack.status()["services"]}
    if stack.runtime == "embedded":
        used["supervisord"] = supervisor_pss(stack)
    yield "idle stack, all services", f"{sum(used.values()) / MB:.0f} MB", "under 2200 MB"
    yield from ((f"&nbsp;&nbsp;{name}", f"{size / MB:.0f} MB", "") for name, size in sorted(used.items()))


def supervisor_pss(stack: Stack) -> int:
    """Return the supervisor's own memory, without its children."""
    pid = int((stack.root / "var" / "run" / "supervisord.pid").read_text())
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) * 1024


def health_rows(stack: Stack) -> Iterator[Row]:
    """Measure the CPU of five calls of each health check."""
    for one in stack.status()["services"]:
        code, used = measured(stack, one["instance"])
        assert code == 0, one
        yield f"health check of {one['instance']}, median CPU of 5", f"{statistics.median(used):.3f} s", "at most 0.1 s"


def measure(runtime: str) -> list[Row]:
    """Measure one runtime in a checkout of its own."""
    stack = Stack(copy_checkout(Path(tempfile.mkdtemp()) / "checkout"), runtime)
    try:
        return [*start_rows(stack), *memory_rows(stack), *health_rows(stack)]
    finally:
        stack.remove()
        shutil.rmtree(stack.root.parent, ignore_errors=True)


def machine() -> str:
    """Return the machine in one line."""
    memory = psutil.virtual_memory().total / 1024**3
    release = platform.freedesktop_os_release()["PRETTY_NAME"]
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.machine()}, {release}, Python {platform.python_version()}"
    )


def page(found: dict[str, list[Row]]) -> str:
    """Return the measurements as a page."""
    lines = [
        "# Measurements",
        "",
        "Written by `make measure`: fresh checkouts, one after the other, nothing else running. The package cache was warm.",
        "Memory is proportional set size (PSS), a minute after the stack was ready, with one worker of 4 slots and the heavy worker of 1.",
        "",
        f"Machine: {machine()}. Date: {datetime.now(UTC):%Y-%m-%d}.",
    ]
    for runtime, rows in found.items():
        lines += ["", f"## {runtime}", "", "| What | Measured | Bar |", "|---|---|---|"]
        lines += [f"| {what} | {value} | {bar} |" for what, value, bar in rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure every runtime that is there and write the page."""
    there = [runtime for runtime in RUNTIMES if not missing(runtime)]
    PAGE.write_text(page({runtime: measure(runtime) for runtime in there}))
    print(PAGE.read_text())


if __name__ == "__main__":
    heed(signal.SIGTERM)
    main()
