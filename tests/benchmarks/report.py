"""Runs in: your shell, as the end of `make bench`; writes docs/reference/benchmarks.md and its charts from what was measured."""

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.benchmarks.workloads import WORKLOADS

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
EVIDENCE = FOLDER / "benchmarks.jsonl"
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
)  # fmt: skip
COLOURS = {"stock": "#b0b0b0", "kit": "#2a7f62"}

INTRODUCTION = """# Benchmarks

Written by `make bench`: the kit beside Airflow's own settings, measured in pairs on one machine. *Stock* is the environment of
Airflow's official quick-start Compose file with the provider's, Celery's and Valkey's defaults, run by the same supervisor with the same versions,
the same services and the same slots (one worker of 4). Both stacks are up all the time; while one works the other is idle. A load's
time runs from its first trigger to the end of its last run, as Airflow's database has it. CPU is user and system time of every process of the
stack, ended ones included, between the trigger and the moment when the last task process of the worker is gone, divided by the number of tasks;
what the stack uses at rest meanwhile is part of it. Idle figures leave the controller out, which stock has not, where they say *same services*.
Each load ran once on each side before it counted.
"""

# Figures by load, figure and side, in the order they were measured.
Seen = dict[tuple[str, str], dict[str, list[float]]]


def load(path: Path = EVIDENCE) -> list[dict[str, Any]]:
    """Return the lines of the last session of each load."""
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    last = {line["load"]: line["session"] for line in lines}
    return [line for line in lines if line["session"] == last[line["load"]]]


def collect(lines: list[dict[str, Any]]) -> Seen:
    """Return the figures sorted by what they measure."""
    found: Seen = defaultdict(lambda: defaultdict(list))
    for line in lines:
        for name, value in line["figures"].items():
            found[line["load"], name][line["side"]].append(value)
    return found


def middle(values: list[float]) -> str:
    """Return median and spread in words."""
    digits = 3 if max(values) < 1 else 1
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} of {len(values)} ({low:.{digits}f}-{high:.{digits}f})"


def ratio(sides: dict[str, list[float]]) -> float | None:
    """Return the median of the kit's figure over stock's, pair by pair."""
    pairs = [kit / stock for kit, stock in zip(sides.get("kit", ()), sides.get("stock", ()), strict=False) if stock]
    return statistics.median(pairs) if pairs else None


def summary(lines: list[dict[str, Any]]) -> list[str]:
    """Return a table of every figure: stock, kit, ratio."""
    what = {one.letter: one.what for one in WORKLOADS}
    rows = ["| | Load | Figure | stock | kit | kit / stock |", "|---|---|---|---|---|---|"]
    for (letter, figure), sides in collect(lines).items():
        shown = [middle(sides[side]) if sides.get(side) else "-" for side in ("stock", "kit")]
        share = ratio(sides)
        rows.append(
            f"| {letter} | {what[letter]} | {figure} | {shown[0]} | {shown[1]} | {'-' if share is None else f'{share:.2f}'} |"
        )
    return rows


def bars(lines: list[dict[str, Any]]) -> list[str]:
    """Return a table of the bars: what is measured, what it may be, what it is."""
    seen = collect(lines)
    rows = ["| | Figure | At most | Meant to be | Measured |", "|---|---|---|---|---|"]
    for letter, figure, kind, at_most, meant in BARS:
        sides = seen.get((letter, figure), {})
        found = ratio(sides) if kind == "ratio" else statistics.median(sides["kit"]) if sides.get("kit") else None
        verdict = (
            "not run"
            if found is None
            else f"{'**' if found > at_most else ''}{found:.2f}{'**' if found > at_most else ''}"
        )
        unit = "of stock" if kind == "ratio" else "s" if "cpu" in figure else ""
        rows.append(f"| {letter} | {figure} | {at_most:g} {unit} | {meant or '-'} | {verdict} |")
    return rows


def draw_ratios(lines: list[dict[str, Any]], path: Path) -> None:
    """Draw how long each load takes on both sides."""
    from matplotlib import pyplot

    seen = {letter: sides for (letter, figure), sides in collect(lines).items() if figure == "seconds"}
    figure, axes = pyplot.subplots(figsize=(9, 0.8 * len(seen) + 1))
    for place, sides in enumerate(seen.values()):
        for shift, (side, colour) in enumerate(COLOURS.items()):
            value = statistics.median(sides[side])
            axes.barh(place + 0.36 * shift, value, 0.34, color=colour, label=side if not place else None)
            axes.text(value, place + 0.36 * shift, f" {value:.1f} s", va="center", fontsize=8)
    what = {one.letter: one.what for one in WORKLOADS}
    axes.set_yticks(
        [place + 0.18 for place in range(len(seen))], [f"({letter}) {what[letter]}" for letter in seen], fontsize=8
    )
    axes.invert_yaxis()
    axes.set_xlabel("seconds, median")
    axes.legend()
    save(figure, path)


def draw_tasks(lines: list[dict[str, Any]], path: Path) -> None:
    """Draw every task of the first pair of the fan-out as a line over time, stock beside the kit."""
    from matplotlib import pyplot

    runs = {line["side"]: line["bars"] for line in lines if line["load"] == "a" and line["bars"]}
    figure, plots = pyplot.subplots(1, len(COLOURS), figsize=(11, 4), sharex=True, sharey=True)
    for axes, (side, colour) in zip(plots, COLOURS.items(), strict=True):
        for place, (begun, ended) in enumerate(runs.get(side, ())):
            axes.plot([begun, ended], [place, place], color=colour, linewidth=1.5)
        axes.set(title=side, xlabel="seconds since the trigger")
    plots[0].set_ylabel("tasks of the fan-out, by start")
    plots[0].invert_yaxis()
    save(figure, path)


def save(figure: Any, path: Path) -> None:
    """Write a chart that is the same for the same figures."""
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})


def page(lines: list[dict[str, Any]]) -> str:
    """Return the text of the page."""
    machines = sorted({f"{line['machine']}; {line['date']}" for line in lines})
    parts = [
        INTRODUCTION, "Machine and date: " + " / ".join(machines) + ".", "", *bars(lines), "", "![seconds on both sides](benchmarks.svg)",
        "", "## Every figure", "", "Median of so many pairs, in brackets the lowest and highest; the ratio is the median of the pairs' ratios.", "",
        *summary(lines), "", "![tasks of the fan-out over time](benchmarks-tasks.svg)", "",
    ]  # fmt: skip
    return "\n".join(parts)


def main() -> int:
    """Write page and charts from what was measured; return 1 when a bar is missed."""
    lines = load()
    (FOLDER / "benchmarks.md").write_text(page(lines))
    draw_ratios(lines, FOLDER / "benchmarks.svg")
    draw_tasks(lines, FOLDER / "benchmarks-tasks.svg")
    print(f"{FOLDER / 'benchmarks.md'} written")
    return any("**" in row for row in bars(lines))


if __name__ == "__main__":
    sys.exit(main())
