"""Runs in: your shell, as the end of `make bench`; writes docs/reference/benchmarks.md and its charts from what was measured."""

import statistics
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks import charts, growth
from tests.benchmarks.evidence import FOLDER, KIT, Line, Seen, at_least, beside, collect, load, median, more, ratio
from tests.benchmarks.waits import BOUND_SECONDS
from tests.benchmarks.workloads import WORKLOADS
from tests.stack.faults.evidence import measured_on

# Load, figure, what the ratio or value may be at most, and what it is meant to be.
BARS = (
    ("a", "cpu per task", "value", 0.30, 0.22),
    ("a", "seconds", "ratio", 0.35, 0.25),
    ("b", "seconds", "ratio", 0.33, 0.25),
    ("c1", "seconds", "ratio", 0.33, 0.25),
    ("c2", "above own", "ratio", 0.6, 0.35),
    ("d", "seconds", "ratio", 0.45, 0.35),
    ("f", "seconds", "ratio", 0.4, None),
    ("g", "idle cpu, same services", "ratio", 1.0, None),
    ("g", "idle cpu with health checks", "ratio", 0.5, None),
    ("g", "idle memory MB, same services", "ratio", 1.0, None),
    ("a", "cpu airflow-worker", "ratio", 0.75, 0.6),
    ("o", "mean completion / lower bound", "value", 1.25, None),
    ("o", "first chain done / makespan", "value", 0.25, None),
    ("o", "inversions", "value", 0.01, None),
    ("o", "seconds", "ratio", 1.05, None),
    ("p", "seconds", "ratio", 1.05, None),
    ("s", "longest wait / bound", "value", 1.0, None),
    ("j", "cpu per task", "more", 0.003, None),
    ("j", "seconds", "at least", 1.03, None),
)  # fmt: skip
# What is made of the pairs of two sides.
OF_PAIRS = {"ratio": ratio, "more": more, "at least": at_least}
# How the table of bars calls a figure where its own name says too little.
WHAT = {
    ("a", "cpu per task"): "CPU of all processes for each no-op task",
    ("a", "cpu airflow-worker"): "(h) CPU of the workers for each no-op task",
    ("c2", "above own"): "seconds above the functions' own",
    ("j", "cpu per task"): "CPU of all processes for each no-op task that the journal adds",
    ("j", "seconds"): "seconds, lower end of the 95 % confidence interval of the ratio",
}

INTRODUCTION = """# Benchmarks

Written by `make bench`: the kit beside Airflow's own settings, measured in pairs on one machine. *Stock* is the environment of
Airflow's official quick-start Compose file with the provider's, Celery's and Valkey's defaults, run by the same supervisor with the same versions,
the same services and the same slots (one worker of 4; load i says how many). Both stacks are up all the time; while one works
the other is idle. A load's time runs from its first trigger to the end of its last run, as Airflow's database has it. CPU is user
and system time of every process of the stack, ended ones included, between the trigger and the moment when the last task process
of the workers is gone, divided by the number of tasks; what the stack uses at rest meanwhile is part of it. Idle figures leave
the controller out, which stock has not, where they say *same services*. In load p the other side is the kit itself with
all tasks equal (`PRIORITY_POLICY=airflow` and the weight rule `absolute`): what is asked for first runs first; in load j it
is the kit with `JOURNAL=off`.
*Taken by the host* is the share of the CPU time that a virtual machine asked for and its host gave to
others: what waits does not feel it, what computes does. A pair in which it took more than a quarter on either side is measured
again, whatever its figures, of each load as often as it has pairs (since 2026-11-23; what was left out stays in the evidence,
marked). Each load ran once on each side before it counted; of
load i only the smallest did, which comes first on each number of workers.
"""
BARS_TEXT = "*Bar* is what the kit's median, or the median of the pairs' ratios, may be at most; *stretch* is what it is meant to be."
# What the kit does not reach yet, and why. A bar that is reached leaves this list.
WHY_MISSED: dict[tuple[str, str], str] = {}
GROWTH_TEXT = """Load i: mapped tasks that do nothing, on one, two and four workers of four slots, the same number on both sides; at most 32
tasks are queued or running at a time. Workers, servers, scheduler and api-server share the cores of one machine, so that more
workers help as long as cores are free."""
ORDER_TEXT = """Load o: a row for each chain, a bar for each of its five tasks, coloured from the first step (dark) to the last (light). Where
chains are finished one after the other, the rows are dense and end like a staircase; where all crawl along together, each
colour is a column of its own. A thin line says that the chain waits. *Inversions* is the share of tasks that a slot took while a more
urgent message was in the broker; the second figure is the share that it took while a more urgent task was due but not sent yet,
which no broker can know."""
WAITS_TEXT = f"""Load s: a bar for each task, in the order of their starts. Grey ones are urgent and more than the slots can do; coloured
ones have the least weight there is, and a thin line since they could run. The kit promises that under the policy `aging` none of
these waits longer than `LONGEST_WAIT`, here {BOUND_SECONDS} s."""
PUBLISHED_TEXT = """Loads c1 and c2 are those of a published comparison of workflow engines, whose figures come from another machine, and from
Airflow 2.7: 116.2 s for stock Airflow's 40 light tasks and 54.7 s for its 10 heavy ones; 6.0 s (Kestra), 4.9 s (Prefect) and
3.0 s (Temporal) for the light ones. Seconds of different machines say little, their ratios more."""
FIGURES_TEXT = (
    "Median of so many pairs, in brackets the lowest and highest; the ratio is the median of the pairs' ratios."
)


@dataclass(frozen=True)
class Verdict:
    """One bar and what was measured; `unit` is `of stock` for a ratio, or of another side. `measured` is None where the load was not run."""

    load: str
    figure: str
    unit: str
    bar: float
    stretch: float | None
    median: float | None

    @property
    def verdict(self) -> str:
        """In words: `not run`, `missed`, `met`, or `stretch met`."""
        if self.median is None:
            return "not run"
        if self.median > self.bar:
            return "missed"
        return "stretch met" if self.stretch is not None and self.median <= self.stretch else "met"


def verdicts(lines: list[Line]) -> list[Verdict]:
    """Return every bar with what was measured."""
    seen, found, others = collect(lines), [], {one.letter: one.sides[0] for one in WORKLOADS}
    for letter, figure, kind, at_most, meant in BARS:
        value = (
            median(seen, letter, figure, "kit") if kind == "value" else OF_PAIRS[kind](seen.get((letter, figure), {}))
        )
        unit = f"of {others[letter]}" if kind in ("ratio", "at least") else "s" if "cpu" in figure else ""
        found.append(Verdict(letter, figure, unit, at_most, meant, value))
    return found


def when(lines: list[Line]) -> list[str]:
    """Return a sentence about the commits on which loads were measured, and one about those that were not measured yet."""
    found = {line["load"]: line.get("commit", f"one of {line['date']}") for line in lines}
    commits = {one.group or one.letter: found[one.letter] for one in WORKLOADS if one.letter in found}
    measured = [f"{letter} {at}" for letter, at in commits.items()]
    lacking = dict.fromkeys(one.group or one.letter for one in WORKLOADS if one.letter not in found)
    said = [f"Commits: {', '.join(measured)}."] if measured else []
    again = Counter(line["load"] for line in lines if line["side"] == KIT for _ in range(line.get("again", 0)))
    repeated = [f"{letter} {count}" for letter, count in again.items()]
    said += (
        ["", f"Pairs that were measured again, because the host took too much: {', '.join(repeated)}."]
        if repeated
        else []
    )
    return [*said, *(["", f"Not measured yet: {', '.join(lacking)}."] if lacking else [])]


def bars(lines: list[Line]) -> list[str]:
    """Return a table of the bars: bar, stretch, median, verdict; what misses its bar is bold."""
    rows = ["| | Figure | Bar | Stretch | Median | Verdict |", "|---|---|---|---|---|---|"]
    for one in verdicts(lines):
        bold = "**" if one.verdict == "missed" else ""
        shown = "-" if one.median is None else f"{bold}{one.median:.3g}{bold}"
        bar = f"{one.bar:g} {one.unit}".strip()
        rows.append(
            f"| {one.load} | {WHAT.get((one.load, one.figure), one.figure)} | {bar} | {one.stretch or '-'} | {shown} | {bold}{one.verdict}{bold} |"
        )
    return rows


def middle(values: list[float]) -> str:
    """Return median and spread in words."""
    digits = 3 if max(values) < 1 else 1
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} of {len(values)} ({low:.{digits}f}-{high:.{digits}f})"


def in_order(lines: list[Line]) -> Seen:
    """Return the figures in the order of the table of loads, load (i) left out, which has a table of its own."""
    places = {one.letter: place for place, one in enumerate(WORKLOADS)}
    known = [line for line in lines if line["load"] in places and line["load"] not in growth.LETTERS]
    return collect(sorted(known, key=lambda line: places[line["load"]]))


def summary(lines: list[Line]) -> list[str]:
    """Return a table of every figure: stock, kit, ratio."""
    what = {one.letter: one.what for one in WORKLOADS}
    rows = ["| | Load | Figure | stock | kit | kit / stock |", "|---|---|---|---|---|---|"]
    for (letter, figure), sides in in_order(lines).items():
        shown = [middle(values) if values else "-" for values in (beside(sides), sides.get(KIT))]
        share = growth.shown(ratio(sides), 2)
        rows.append(f"| {letter} | {what[letter]} | {figure} | {shown[0]} | {shown[1]} | {share} |")
    return rows


def tables(lines: list[Line]) -> list[str]:
    """Return what was measured as tables, those that have rows."""
    figures = summary(lines) if in_order(lines) else []
    return [*figures, *([""] if figures else []), *growth.table(lines)]


def as_json(lines: list[Line]) -> dict[str, Any]:
    """Return what was measured for programs: the bars of these loads, and every figure of every pair."""
    measured = {line["load"] for line in lines}
    figures = [
        {"load": letter, "figure": figure, "stock": beside(sides), "kit": sides.get(KIT, []), "ratio": ratio(sides)}
        for (letter, figure), sides in collect(lines).items()
    ]  # fmt: skip
    judged = [asdict(one) | {"verdict": one.verdict} for one in verdicts(lines) if one.load in measured]
    return {"bars": judged, "figures": figures}


def section(title: str, text: str, body: list[str]) -> list[str]:
    """Return a part of the page; nothing where it has no body."""
    return [f"## {title}", "", text, "", *body] if body else []


def missed(lines: list[Line]) -> list[str]:
    """Return why bars are missed, where it is known."""
    found = [(one.load, one.figure) for one in verdicts(lines) if one.verdict == "missed"]
    return [part for one in found if one in WHY_MISSED for part in (WHY_MISSED[one], "")]


def page(lines: list[Line]) -> str:
    """Return the text of the page."""
    grown = growth.table(lines)
    parts = [
        INTRODUCTION, measured_on(lines), "", *when(lines), "", BARS_TEXT, "", *bars(lines), "",
        *missed(lines), PUBLISHED_TEXT, "", *charts.SECONDS.shown(lines),
        *section("Growth", GROWTH_TEXT, [*grown, "", *charts.GROWTH.shown(lines)] if grown else []),
        *section("Order of work", ORDER_TEXT, charts.ORDER.shown(lines)),
        *section("Work that waits", WAITS_TEXT, charts.WAITS.shown(lines)),
        *section("Every figure", FIGURES_TEXT, [*summary(lines), "", *charts.FAN_OUT.shown(lines)]),
    ]  # fmt: skip
    return "\n".join(parts)


def main(folder: Path = FOLDER) -> int:
    """Write page and charts from what was measured to `folder`; return 1 when a bar is missed."""
    lines = load()
    (folder / "benchmarks.md").write_text(page(lines))
    charts.draw(lines, folder)
    print(f"{folder / 'benchmarks.md'} written", file=sys.stderr)
    return int(any(one.verdict == "missed" for one in verdicts(lines)))


if __name__ == "__main__":
    sys.exit(main())
