"""Runs in: your shell, as `make bench` or `kit bench`; measures the kit beside stock settings, pair by pair, and writes
docs/reference/benchmarks.md.

All stacks are up all the time and work in turn, the kit last in odd pairs and first in even ones. Nothing else may run
meanwhile. Each measurement is a line of docs/reference/benchmarks.jsonl; the page is written from the last complete session of
each load.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.benchmarks import cpu, evidence, report
from tests.benchmarks.progress import shown
from tests.benchmarks.sides import NOTHING, Side, one_worker_afterwards, running
from tests.benchmarks.workloads import WORKLOADS, Workload
from tests.stack.faults.evidence import commit, machine

DEFAULT = "a,b,c1,c2"
USAGE_ERROR = 2


@dataclass(frozen=True)
class Turn:
    """One load on one side. Pair 0 does not count; `of` is how many pairs the session means to run."""

    load: Workload
    side: str
    pair: int
    of: int

    def __str__(self) -> str:
        return f"({self.load.letter}) {self.side}, " + (f"pair {self.pair} of {self.of}" if self.pair else "warm-up")


def plan(loads: list[Workload], pairs: int | None) -> Iterator[Turn]:
    """Give every measurement in its order; `pairs` is the number of pairs of each load, None for each load's own."""
    for load in loads:
        of = pairs or load.pairs
        for pair in range(0 if load.warm_up else 1, of + 1):
            for side in load.sides if pair % 2 else reversed(load.sides):
                yield Turn(load, side, pair, of)


def record(session: str, turn: Turn, side: Side) -> dict[str, Any]:
    """Run one load on one side and return its line of evidence."""
    load, before = turn.load, cpu.wanted()
    timed = side.run(list(load.dags), load.seconds, load.listen) if load.dags else NOTHING
    found = load.figures(side, timed) | {"taken by the host": cpu.taken(before, cpu.wanted())}
    figures = {name: round(value, 4) for name, value in found.items()}
    bars = load.kept(timed.tasks) if turn.pair == 1 else []
    return {
        "session": session, "load": load.letter, "side": side.name, "pair": turn.pair, "of": turn.of, "sides": load.sides,
        "figures": figures, "bars": bars, "machine": machine(), "commit": commit(), "date": datetime.now(UTC).date().isoformat(),
    }  # fmt: skip


def measure(sides: list[Side], turns: list[Turn], path: Path, console: Console) -> str:
    """Do every turn, keep what counts as lines of `path`, and return the session's name.

    Both sides have the same number of workers at any time, and one afterwards, whatever happens.
    """
    session = datetime.now(UTC).isoformat(timespec="seconds")
    named = {side.name: side for side in sides}
    with one_worker_afterwards(sides), shown(len(turns), console) as progress:
        for turn in turns:
            progress.begin(str(turn))
            for side in sides:
                side.scale(turn.load.workers)
            seen = record(session, turn, named[turn.side])
            progress.finish(str(turn), seen["figures"])
            if turn.pair:
                with path.open("a") as file:
                    file.write(json.dumps(seen) + "\n")
    return session


def chosen(names: str) -> list[Workload]:
    """Return the loads of a comma-separated list, each once; `i` means all of its group. Exits with one line for an unknown one."""
    known = dict.fromkeys(load.group or load.letter for load in WORKLOADS)
    found: dict[str, Workload] = {}
    for name in map(str.strip, names.split(",")):
        meant = {load.letter: load for load in WORKLOADS if name and name in (load.letter, load.group)}
        if not meant:
            print(f"no load {name!r}: choose among {', '.join(known)}", file=sys.stderr)
            sys.exit(USAGE_ERROR)
        found |= meant
    return list(found.values())


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--loads", default=DEFAULT, type=chosen, help="comma-separated, such as a,b,i (default: %(default)s)"
    )
    parser.add_argument("--pairs", type=int, help="pairs of each load (default: as many as each load asks for)")
    parser.add_argument("--evidence", type=Path, default=evidence.EVIDENCE, help="file of JSON lines to append to")
    parser.add_argument(
        "--json", action="store_true", help="print what was measured as JSON; progress goes to standard error"
    )
    return parser.parse_args()


def main() -> int:
    """Measure what was asked for, then write the page, unless the evidence went elsewhere; return 1 when a bar is missed."""
    options = arguments()
    # The stacks are copies: what changes in the checkout from here on is not measured.
    commit()
    turns = list(plan(options.loads, options.pairs))
    names = dict.fromkeys(side for load in options.loads for side in load.sides)
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), names) as sides:
        session = measure(sides, turns, options.evidence, Console(stderr=options.json))
    lines = [line for line in evidence.load(options.evidence) if line["session"] == session]
    print(json.dumps(report.as_json(lines), indent=2) if options.json else "\n".join(report.tables(lines)))
    return report.main() if options.evidence == evidence.EVIDENCE else 0


if __name__ == "__main__":
    sys.exit(main())
