"""Runs in: `make bench`; load (i): how much more is done by more workers, and whether more tasks slow each of them down. Pure."""

from tests.benchmarks.evidence import SIDES, Line, Seen, collect, median, ratio

WORKERS = (1, 2, 4)
TASKS = (100, 400, 1600)
RATE = "tasks per second"
# Tasks a second over workers, by side and number of tasks.
Points = dict[tuple[str, int], list[tuple[int, float]]]

HEAD = [
    "| Workers of 4 slots | Tasks | stock, s | kit, s | kit / stock | stock, tasks/s | kit, tasks/s | stock, CPU s a task | kit, CPU s a task |",
    "|---|---|---|---|---|---|---|---|---|",
]


def letter(workers: int, tasks: int) -> str:
    """Return the name of one combination, such as `i2x400`."""
    return f"i{workers}x{tasks}"


LETTERS = frozenset(letter(workers, tasks) for workers in WORKERS for tasks in TASKS)


def points(lines: list[Line]) -> Points:
    """Return what the chart shows; empty when load (i) was not measured."""
    seen, found = collect(lines), {}
    for side in SIDES:
        for tasks in TASKS:
            rates = [(workers, median(seen, letter(workers, tasks), RATE, side)) for workers in WORKERS]
            if known := [(workers, rate) for workers, rate in rates if rate is not None]:
                found[side, tasks] = known
    return found


def table(lines: list[Line]) -> list[str]:
    """Return a table of every combination that was measured, medians of the pairs; nothing when none was."""
    seen = collect(lines)
    there = [(workers, tasks) for workers in WORKERS for tasks in TASKS if (letter(workers, tasks), RATE) in seen]
    return HEAD + [row(seen, workers, tasks) for workers, tasks in there] if there else []


def row(seen: Seen, workers: int, tasks: int) -> str:
    """Return one combination as a line of the table."""
    name = letter(workers, tasks)
    share = ratio(seen[name, "seconds"])
    times, rates, costs = (
        [shown(median(seen, name, figure, side), digits) for side in SIDES]
        for figure, digits in (("seconds", 1), (RATE, 1), ("cpu per task", 3))
    )
    return f"| {workers} | {tasks} | " + " | ".join([*times, shown(share, 2), *rates, *costs]) + " |"


def shown(value: float | None, digits: int) -> str:
    """Return a number as the table shows it, a dash for none."""
    return "-" if value is None else f"{value:.{digits}f}"
