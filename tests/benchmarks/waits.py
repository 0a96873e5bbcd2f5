"""Runs in: `make bench`; how long work without urgency waits while urgent work has no end. Pure."""

from collections.abc import Iterable
from typing import Any

URGENT, AGED = "bench_urgent", "bench_aged"
# What the kit promises with LONGEST_WAIT; stock has no such setting.
BOUND_SECONDS = 30


def aged(tasks: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the tasks that wait: those that come after the one that lets urgent work begin."""
    return [task for task in tasks if task["dag"] == AGED and task["index"] >= 0]


def figures(tasks: tuple[dict[str, Any], ...]) -> dict[str, float]:
    """Return the longest wait, its share of the bound, and how much urgent work started after the last task that waited."""
    waited = aged(tasks)
    longest, last = max(one["start"] - one["due"] for one in waited), max(one["start"] for one in waited)
    return {
        "longest wait": longest,
        "longest wait / bound": longest / BOUND_SECONDS,
        "urgent tasks left then": sum(task["dag"] == URGENT and task["start"] > last for task in tasks),
    }


def spans(tasks: Iterable[dict[str, Any]]) -> list[list[float]]:
    """Return start, end, since when it could run, and whether it is urgent (1) of each task, the first to start in front."""
    kept = [
        [task["start"], task["end"], task["due"], float(task["dag"] == URGENT)] for task in tasks if task["index"] >= 0
    ]
    return sorted(kept)
