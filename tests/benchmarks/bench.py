"""Runs in: your shell, as `make bench`; measures the kit beside stock settings, pair by pair, and writes docs/reference/benchmarks.md.

Both stacks are up all the time and work in turn, stock first in odd pairs, the kit first in even ones. Nothing else may run
meanwhile. Each measurement is a line of docs/reference/benchmarks.jsonl; the page is written from the last session of each load.
"""

import argparse
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.benchmarks import report
from tests.benchmarks.sides import NOTHING, Side, both
from tests.benchmarks.workloads import WORKLOADS, Workload
from tests.stack.faults.evidence import machine

DEFAULT = "a,b,c1,c2"


def record(session: str, load: Workload, side: Side, pair: int) -> dict[str, Any]:
    """Run one load on one side and return its line of evidence."""
    timed = side.run(list(load.dags)) if load.dags else NOTHING
    figures = {name: round(value, 4) for name, value in load.figures(side, timed).items()}
    bars = [[task["start"], task["end"]] for task in timed.tasks] if pair == 1 else []
    return {
        "session": session, "load": load.letter, "side": side.name, "pair": pair, "figures": figures, "bars": bars,
        "machine": machine(), "date": datetime.now(UTC).date().isoformat(),
    }  # fmt: skip


def measure(sides: list[Side], loads: list[Workload], pairs: int | None, evidence: Path) -> None:
    """Measure every load in pairs, after one run of each that does not count."""
    session = datetime.now(UTC).isoformat(timespec="seconds")
    steps = sum(1 + (pairs or load.pairs) for load in loads) * len(sides)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as progress:
        line = progress.add_task("", total=steps)
        for load in loads:
            for pair in range((pairs or load.pairs) + 1):
                for side in sides if pair % 2 else reversed(sides):
                    progress.update(line, description=f"({load.letter}) {side.name}")
                    seen = record(session, load, side, pair)
                    progress.advance(line)
                    if pair:
                        with evidence.open("a") as file:
                            file.write(json.dumps(seen) + "\n")


def chosen(letters: str) -> list[Workload]:
    """Return the loads of a comma-separated list. Exits with one line for an unknown one."""
    known = {load.letter: load for load in WORKLOADS}
    if unknown := set(letters.split(",")) - set(known):
        sys.exit(f"no load {', '.join(sorted(unknown))}: choose among {', '.join(known)}")
    return [known[letter] for letter in letters.split(",")]


def main() -> int:
    """Measure what was asked for, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", default=DEFAULT)
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--evidence", type=Path, default=report.EVIDENCE)
    options = parser.parse_args()
    loads = chosen(options.loads)
    with tempfile.TemporaryDirectory() as folder, both(Path(folder)) as sides:
        measure(sides, loads, options.pairs, options.evidence)
    print("\n".join(report.summary(report.load(options.evidence))))
    return report.main() if options.evidence == report.EVIDENCE else 0


if __name__ == "__main__":
    sys.exit(main())
