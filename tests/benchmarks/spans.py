"""Runs in: `make bench`; what is kept of single tasks for the charts, in seconds since the first trigger. Pure."""

from collections.abc import Iterable
from typing import Any

Tasks = Iterable[dict[str, Any]]
Span = list[float]


def times(tasks: Tasks) -> list[Span]:
    """Return start and end of each task."""
    return [[task["start"], task["end"]] for task in tasks]


def steps(tasks: Tasks) -> list[Span]:
    """Return start, end, chain and step of each task of equal chains.

    A chain is one run; they are numbered from 1 in the order of `tasks`. Tasks are called `step_01`, `step_02`, ...
    """
    chains: dict[str, int] = {}
    return [
        [task["start"], task["end"], chains.setdefault(task["run"], len(chains) + 1), int(task["task"].rpartition("_")[2])]
        for task in tasks
    ]  # fmt: skip


def none(tasks: Tasks) -> list[Span]:
    """Return nothing: no chart shows these tasks one by one."""
    return []
