"""Runs in: your shell, as `make bench` or `kit bench`; measures the kit beside stock settings, pair by pair, and writes
docs/reference/benchmarks.md.

All stacks are up all the time and work in turn, the kit last in odd pairs and first in even ones. Nothing else may run
meanwhile. A pair in which a virtual machine's host took much of the CPU is measured again, whatever its figures. Each measurement is
a line of docs/reference/benchmarks.jsonl; the page is written from the last complete session of each load.
"""

import argparse
import json
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.benchmarks import cpu, evidence, report
from tests.benchmarks.progress import Shown, shown
from tests.benchmarks.sides import NOTHING, Side, one_worker_afterwards, running
from tests.benchmarks.workloads import WORKLOADS, Workload
from tests.ending import heed
from tests.stack.faults.evidence import commit, machine

DEFAULT = "a,b,c1,c2"
USAGE_ERROR = 2
# A pair is measured again where the host took more than this share of what either side asked for; of each load as often as it has pairs.
MOST_TAKEN = 0.25


@dataclass(frozen=True)
class Turn:
    """One load on one side. Pair 0 does not count; `of` is how many pairs the session means to run."""

    load: Workload
    side: str
    pair: int
    of: int

    def __str__(self) -> str:
        return f"({self.load.letter}) {self.side}, " + (f"pair {self.pair} of {self.of}" if self.pair else "warm-up")


def plan(loads: list[Workload], pairs: int | None) -> Iterator[list[Turn]]:
    """Give every pair of measurements in its order; `pairs` is the number of pairs of each load, None for each load's own."""
    for load in loads:
        of = pairs or load.pairs
        for pair in range(0 if load.warm_up else 1, of + 1):
            yield [Turn(load, side, pair, of) for side in (load.sides if pair % 2 else reversed(load.sides))]


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


def measure(sides: list[Side], pairs: list[list[Turn]], path: Path, console: Console) -> str:
    """Do every turn, keep what counts as lines of `path`, and return the session's name.

    Both sides have the same number of workers at any time, and one afterwards, whatever happens.
    """
    session = datetime.now(UTC).isoformat(timespec="seconds")
    named = {side.name: side for side in sides}
    repeated: Counter[str] = Counter()
    with one_worker_afterwards(sides), shown(sum(map(len, pairs)), console) as progress:
        for pair in pairs:
            load, counts, again = pair[0].load.letter, pair[0].pair > 0, 0
            seen = [done(session, turn, named, progress) for turn in pair]
            while counts and busy(seen) and repeated[load] < pair[0].of:
                repeated[load], again = repeated[load] + 1, again + 1
                progress.repeat(f"({load}) pair {pair[0].pair} is measured again: the host took too much", len(pair))
                keep(path, seen, {"counts": False})
                seen = [done(session, turn, named, progress) for turn in pair]
            if counts:
                keep(path, seen, {"again": again} if again else {})
    return session


def done(session: str, turn: Turn, sides: dict[str, Side], progress: Shown) -> dict[str, Any]:
    """Do one turn and return its line of evidence."""
    progress.begin(str(turn))
    for side in sides.values():
        side.scale(turn.load.workers)
    seen = record(session, turn, sides[turn.side])
    progress.finish(str(turn), seen["figures"])
    return seen


def busy(lines: list[dict[str, Any]]) -> bool:
    """Return whether the host took too much in one of these measurements."""
    return any(line["figures"]["taken by the host"] > MOST_TAKEN for line in lines)


def keep(path: Path, lines: list[dict[str, Any]], more: dict[str, Any]) -> None:
    """Append lines of evidence, with something more in each."""
    with path.open("a") as file:
        file.writelines(json.dumps(line | more) + "\n" for line in lines)


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
    pairs = list(plan(options.loads, options.pairs))
    names = dict.fromkeys(side for load in options.loads for side in load.sides)
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), names) as sides:
        session = measure(sides, pairs, options.evidence, Console(stderr=options.json))
    lines = [line for line in evidence.load(options.evidence) if line["session"] == session]
    print(json.dumps(report.as_json(lines), indent=2) if options.json else "\n".join(report.tables(lines)))
    return report.main() if options.evidence == evidence.EVIDENCE else 0


if __name__ == "__main__":
    heed(signal.SIGTERM)
    sys.exit(main())
