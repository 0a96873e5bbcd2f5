"""Runs in: your shell, as the end of `make bench`; the charts of docs/reference/benchmarks.md.

Each chart has a function that takes its data out of the evidence, empty where there is none, and one that draws them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks import growth
from tests.benchmarks.drawing import COLOURS, drawing
from tests.benchmarks.evidence import SIDES, Line, collect, median
from tests.benchmarks.task_charts import draw_fan_out, draw_order, draw_waits, spans_of
from tests.benchmarks.workloads import WORKLOADS

MARKS = {100: ("o", ":"), 400: ("s", "--"), 1600: ("D", "-")}
Times = dict[str, dict[str, float]]


def seconds(lines: list[Line]) -> Times:
    """Return the median seconds of both sides by load, load (i) left out, which has a chart of its own."""
    seen, found = collect(lines), {}
    for letter in (load.letter for load in WORKLOADS if load.letter not in growth.LETTERS):
        values = {side: median(seen, letter, "seconds", side) for side in SIDES}
        known = {side: value for side, value in values.items() if value is not None}
        if len(known) == len(SIDES):
            found[letter] = known
    return found


def draw_seconds(times: Times, path: Path) -> None:
    """Draw two dots for each load on a scale of powers of ten, joined by a line that is as long as the ratio is great."""
    what = {load.letter: load.what for load in WORKLOADS}
    with drawing(path, (9, 0.42 * len(times) + 1)) as axes:
        for place, sides in enumerate(times.values()):
            axes.plot(list(sides.values()), [place] * 2, color="#bbbbbb", linewidth=3, zorder=1, solid_capstyle="round")
            slower = max(sides, key=lambda side: sides[side])
            for side, value in sides.items():
                axes.scatter(value, place, 60, COLOURS[side], zorder=2, label=None if place else side)
                words, align = (f"   {value:.3g} s", "left") if side == slower else (f"{value:.3g} s   ", "right")
                axes.text(value, place, words, ha=align, va="center", fontsize=8)
        axes.set(xscale="log", ylim=(len(times) - 0.4, -0.6))
        axes.set_xlabel("seconds, median; each line of the grid is ten times the one before")
        axes.set_yticks(range(len(times)), [f"({letter}) {what[letter]}" for letter in times])
        axes.margins(x=0.15)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)


def draw_growth(points: growth.Points, path: Path) -> None:
    """Draw tasks a second over workers, one line for each side and number of tasks."""
    with drawing(path, (9, 4.2)) as axes:
        for (side, tasks), found in points.items():
            mark, dashes = MARKS[tasks]
            look = {"color": COLOURS[side], "marker": mark, "linestyle": dashes}
            axes.plot(*zip(*found, strict=True), label=f"{side}, {tasks} tasks", **look)
        axes.set(xscale="log", xlabel="workers of 4 slots", ylabel="tasks a second", ylim=(0, None))
        axes.set_xticks(growth.WORKERS, [str(workers) for workers in growth.WORKERS])
        axes.minorticks_off()
        axes.grid(axis="y")
        # From top to bottom as the lines are meant to lie.
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1, 0.5))


@dataclass(frozen=True)
class Chart:
    """One picture: its file, what it shows in words, its data, how it is drawn."""

    file: str
    words: str
    data: Callable[[list[Line]], Any]
    draw: Callable[[Any, Path], None]

    def shown(self, lines: list[Line]) -> list[str]:
        """Return the picture as lines of the page; nothing where there are no data for it."""
        return [f"![{self.words}]({self.file})", ""] if self.data(lines) else []


SECONDS = Chart("benchmarks.svg", "seconds on both sides", seconds, draw_seconds)
FAN_OUT = Chart(
    "benchmarks-tasks.svg", "tasks of the fan-out over time", lambda lines: spans_of(lines, "a", 2), draw_fan_out
)
ORDER = Chart(
    "benchmarks-order.svg", "tasks of twenty chains over time", lambda lines: spans_of(lines, "o", 4), draw_order
)
WAITS = Chart(
    "benchmarks-waits.svg", "tasks that wait beside urgent work", lambda lines: spans_of(lines, "s", 4), draw_waits
)
GROWTH = Chart("benchmarks-growth.svg", "tasks a second over workers", growth.points, draw_growth)


def draw(lines: list[Line], folder: Path) -> None:
    """Draw every chart that there are data for."""
    for chart in (SECONDS, FAN_OUT, ORDER, WAITS, GROWTH):
        if data := chart.data(lines):
            chart.draw(data, folder / chart.file)
