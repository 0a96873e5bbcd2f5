"""Runs in: your shell, as the end of `make bench`; the charts that show single tasks over time, stock beside the kit."""

from pathlib import Path
from statistics import mean
from typing import Any

from tests.benchmarks.drawing import COLOURS, drawing
from tests.benchmarks.evidence import SIDES, Line
from tests.benchmarks.waits import BOUND_SECONDS

# Dark to light, so that the order of the steps is seen without a legend.
STEPS = ("#440154", "#3b528b", "#21918c", "#5ec962", "#f0d80c")
Spans = dict[str, list[list[float]]]


def spans_of(lines: list[Line], letter: str, length: int) -> Spans:
    """Return what was kept of each task of a load, by side; spans that hold less than `length` numbers are left out."""
    kept = {line["side"]: line["bars"] for line in lines if line["load"] == letter and line["bars"]}
    return {side: bars for side, bars in kept.items() if len(bars[0]) >= length}


def draw_fan_out(runs: Spans, path: Path) -> None:
    """Draw every task of the fan-out as a line over time, stock beside the kit."""
    with drawing(path, (11, 4), len(SIDES)) as plots:
        for axes, side in zip(plots, SIDES, strict=True):
            spans = runs.get(side, [])
            for place, (begun, ended, *_) in enumerate(spans):
                axes.plot([begun, ended], [place, place], color=COLOURS[side], linewidth=1.8)
            done = f": done after {max(ended for _, ended, *_ in spans):.0f} s" if spans else ""
            axes.set(title=f"{side}{done}", xlabel="seconds since the trigger")
            axes.grid(axis="x")
        plots[0].set_ylabel("tasks of the fan-out, by start")
        plots[0].invert_yaxis()


def draw_waits(runs: Spans, path: Path) -> None:
    """Draw urgent tasks as grey bars, and those that may wait as coloured ones behind a thin line since they could run."""
    with drawing(path, (13, 5), len(SIDES)) as plots:
        for axes, side in zip(plots, SIDES, strict=True):
            spans = runs.get(side, [])
            for place, (begun, ended, due, urgent) in enumerate(spans):
                if not urgent:
                    axes.plot([due, begun], [place, place], color=COLOURS[side], linewidth=0.8)
                axes.barh(place, max(ended - begun, 0.5), 0.9, begun, color="#c8c8c8" if urgent else COLOURS[side])
            waits = [begun - due for begun, _, due, urgent in spans if not urgent]
            longest = f": longest wait {max(waits):.0f} s of {BOUND_SECONDS} s" if waits else ""
            axes.set(title=f"{side}{longest}", xlabel="seconds since the trigger", yticks=[])
            axes.grid(axis="x")
        plots[0].set_ylabel("tasks, by start")
        plots[0].invert_yaxis()


def by_end(spans: list[list[float]]) -> list[list[list[float]]]:
    """Return the tasks chain by chain, the chain that was done first in front."""
    chains: dict[float, list[list[float]]] = {}
    for span in spans:
        chains.setdefault(span[2], []).append(span)
    return sorted(chains.values(), key=lambda chain: max(end for _, end, *_ in chain))


def draw_order(runs: Spans, path: Path) -> None:
    """Draw every task of the chains as a bar over time, a row for each chain, a colour for each step."""
    with drawing(path, (13, 5), len(SIDES)) as plots:
        for axes, side in zip(plots, SIDES, strict=True):
            chains = by_end(runs.get(side, []))
            for place, chain in enumerate(chains):
                draw_chain(axes, place, chain)
            axes.set(title=order_title(side, chains), xlabel="seconds since the first trigger", yticks=[])
            axes.grid(axis="x")
        plots[0].set(ylabel="chains, the one done first on top")
        plots[0].invert_yaxis()
        plots[0].set_xlim(left=0)
        handles = [plots[0].barh(0, 0, color=colour, label=f"step {step}") for step, colour in enumerate(STEPS, 1)]
        plots[0].figure.legend(handles=handles, loc="outside upper center", ncols=len(STEPS))


def draw_chain(axes: Any, place: int, chain: list[list[float]]) -> None:
    """Draw one chain: its tasks, each with its step's colour and number, on a thin line from the trigger to its end."""
    axes.plot([0, max(end for _, end, *_ in chain)], [place, place], color="#cccccc", linewidth=1, zorder=1)
    for begun, ended, _, step in chain:
        place_of_colour = min(int(step), len(STEPS)) - 1
        axes.barh(
            place, ended - begun, 0.78, begun, color=STEPS[place_of_colour], edgecolor="white", linewidth=0.4, zorder=2
        )
        ink = "white" if place_of_colour < 3 else "black"
        axes.text((begun + ended) / 2, place, f"{step:.0f}", ha="center", va="center", fontsize=6, color=ink, zorder=3)


def order_title(side: str, chains: list[list[list[float]]]) -> str:
    """Return a side's name with when its first chain, its chains on average, and its last chain were done."""
    done = [max(end for _, end, *_ in chain) for chain in chains]
    if not done:
        return side
    return f"{side}: first chain done after {done[0]:.0f} s, mean {mean(done):.0f} s, last {done[-1]:.0f} s"
