"""Runs in: stack tests; what one test of the fault suite has seen: its loads, its times against their bars, its verdict."""

import contextlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from tests.stack.faults.faults import Fault
from tests.stack.harness.load import Load
from tests.stack.harness.stack import Stack
from tests.stack.harness.workspace import ROOT


class NotStruckError(Exception):
    """The fault did not happen, so that the test would prove nothing."""


@dataclass
class Evidence:
    """Collected while a test runs. `outage` is how long its outage lasts here, in seconds; `struck_at` is steady, and when the fault was seen first.

    `slack` is what a bar is multiplied by: 1 at full length, where nothing else runs; more where other tests run beside.
    """

    stack: Stack
    column: str
    fault: Fault
    outage: float
    slack: float = 1.0
    loads: list[Load] = field(default_factory=list)
    measured: list[dict[str, Any]] = field(default_factory=list)
    struck_at: float | None = None
    has_told: bool = False

    @property
    def has_struck(self) -> bool:
        """Whether the fault was seen to happen."""
        return self.struck_at is not None

    @property
    def is_stock(self) -> bool:
        """Whether this is Airflow's own configuration, which has no controller and no guard."""
        return self.column == "stock"

    def load(self, tasks: int, seconds: float, dag: str = "receipts") -> Load:
        """Start equal tasks and return at once; their outcome is part of the evidence."""
        started = Load.start(self.stack, tasks, seconds, dag)
        self.loads.append(started)
        return started

    def struck(self, proof: object, what: str) -> None:
        """Note that the fault has happened. Raises NotStruckError when `proof`, the sight of it, is not true."""
        if not proof:
            raise NotStruckError(f"{self.fault.name}: not seen: {what}")
        self.struck_at = self.struck_at or time.monotonic()

    def measure(self, what: str, seconds: float, at_most: float) -> None:
        """Note a time and hold it against its bar."""
        self.measured.append({"what": what, "seconds": round(seconds, 1), "bar": at_most})
        assert seconds <= at_most * self.slack, f"{what}: {seconds:.1f} s, more than {at_most * self.slack:.0f} s"

    def record(self, path: Path, problem: str) -> None:
        """Append this evidence to a file of JSON lines; `problem` is empty when the bar held."""
        line = {
            "fault": self.fault.name, "column": self.column, "outage": self.outage, "problem": problem,
            "measured": self.measured, "machine": machine(), "commit": commit(), "date": datetime.now(UTC).date().isoformat(), **self.outcome(),
        }  # fmt: skip
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def outcome(self) -> dict[str, int]:
        """Return over all loads: tasks sent, ended, failed, and started more than once."""
        ended, twice, failed = 0, 0, 0
        for load in self.loads:
            ended += len({one["index"] for one in load.receipts("end")})
            twice += len(load.started_twice())
            with contextlib.suppress(Exception):
                failed += load.states().get("failed", 0)
        return {"sent": sum(load.tasks for load in self.loads), "ended": ended, "failed": failed, "twice": twice}


@cache
def commit() -> str:
    """Return the commit that was there when this was asked first, `-dirty` behind it where files differ; nothing outside a repository."""
    command = ["git", "describe", "--always", "--abbrev=9", "--dirty", "--exclude=*"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def machine() -> str:
    """Return what was measured on, in a few words."""
    name = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    memory = round(psutil.virtual_memory().total / 1024**3)
    return f"{os.cpu_count()} cores, {memory} GiB, {platform.machine()}, {name}, Python {platform.python_version()}"


def measured_on(lines: Iterable[dict[str, Any]]) -> str:
    """Return where and when lines of evidence were measured, as a sentence."""
    days: dict[str, set[str]] = {}
    for line in lines:
        days.setdefault(line["machine"], set()).add(line["date"])
    found = [f"{name} ({', '.join(sorted(seen))})" for name, seen in sorted(days.items())]
    return f"Measured on {'; '.join(found)}." if found else "Nothing was measured yet."
