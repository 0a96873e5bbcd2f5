"""Runs in: `make bench`; what is measured on each side, and the figures that each load gives."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.benchmarks import growth, idle, order, spans, waits
from tests.benchmarks.evidence import KIT, SIDES
from tests.benchmarks.sides import SLOTS, Side, Timed

Figures = dict[str, float]
CHAINS = 20


def plain(side: Side, timed: Timed) -> Figures:
    """Time from the first trigger to the last run's end, CPU for each task."""
    return {"seconds": timed.makespan, "cpu per task": timed.cpu_per_task}


def rate(side: Side, timed: Timed) -> Figures:
    """Time, tasks per second, CPU for each task."""
    return plain(side, timed) | {growth.RATE: len(timed.tasks) / timed.makespan}


def above_own(side: Side, timed: Timed) -> Figures:
    """The time that is not the function's own."""
    return plain(side, timed) | {"above own": timed.makespan - side.own_seconds(timed)}


def by_process(side: Side, timed: Timed) -> Figures:
    """CPU for each task, by service."""
    return plain(side, timed) | {f"cpu {name}": used / len(timed.tasks) for name, used in timed.cpu.items()}


def first_start(side: Side, timed: Timed) -> Figures:
    """Time from the trigger to the first task's start."""
    return {"seconds": timed.first_start}


def in_order(side: Side, timed: Timed) -> Figures:
    """How far the order of work is from the best one."""
    return order.figures(order.steps_of(timed.tasks), SLOTS)


def in_time(side: Side, timed: Timed) -> Figures:
    """How long the longest of the waits was."""
    return waits.figures(timed.tasks)


def at_rest(side: Side, timed: Timed) -> Figures:
    """What a stack uses while nothing is to do."""
    return idle.figures(side)


@dataclass(frozen=True)
class Workload:
    """A load, the Dags it starts at once, and what is computed from what was seen.

    `kept` says what is kept of each task of the first pair, `workers` how many each side has, `seconds` when the load is
    given up, `group` another name that stands for it and others. Without `warm_up` its first run counts. With `listen` it is
    known when each message was sent and taken. `sides` are those on which it is measured.
    """

    letter: str
    what: str
    dags: tuple[str, ...]
    figures: Callable[[Side, Timed], Figures] = plain
    pairs: int = 5
    kept: Callable[[spans.Tasks], list[spans.Span]] = spans.times
    workers: int = 1
    seconds: float = 900.0
    group: str = ""
    warm_up: bool = True
    listen: bool = False
    sides: tuple[str, ...] = SIDES


def grow(workers: int, tasks: int) -> Workload:
    """Return one combination of load (i). The smallest number of tasks comes first on new workers, and warms them up."""
    return Workload(
        growth.letter(workers, tasks),
        f"{tasks} no-op mapped tasks, workers: {workers}",
        (f"bench_grow_{tasks}",),
        rate,
        pairs=1,
        kept=spans.none,
        workers=workers,
        seconds=300.0 + 2.0 * tasks,
        group="i",
        warm_up=tasks == min(growth.TASKS),
    )


WORKLOADS = (
    Workload("a", "fan-out: 2 x 40 no-op mapped tasks, 4 slots", ("bench_fan_out",), by_process),
    Workload("b", "chain of 5 x 50 ms, trigger included", ("bench_chain",)),
    Workload("c1", "40 light tasks one after the other, fibo(10)", ("bench_fibo_light",), by_process),
    Workload("c2", "10 heavy tasks one after the other, fibo(33)", ("bench_fibo_heavy",), above_own),
    Workload("d", "10 Dags x 100 no-op tasks", tuple(f"bench_wide_{number}" for number in range(10)), by_process, 2),
    Workload("e", "20 chains of 5 x 50 ms", ("bench_chain",) * CHAINS),
    Workload("o", "20 chains of 5 x 2 s", ("bench_order",) * CHAINS, in_order, kept=spans.steps, listen=True),
    Workload(
        "p",
        "20 chains of 5 x 2 s, beside the kit with all tasks equal, first come, first served",
        ("bench_order",) * CHAINS,
        kept=spans.none,
        sides=("fifo", KIT),
    ),
    Workload(
        "s",
        "8 tasks without urgency while urgent ones of 2 s have no end",
        (waits.URGENT, waits.AGED),
        in_time,
        pairs=3,
        kept=waits.spans,
    ),
    Workload(
        "j",
        "fan-out: 2 x 40 no-op mapped tasks, beside the kit without a journal",
        ("bench_fan_out",),
        by_process,
        pairs=15,
        kept=spans.none,
        sides=("unrecorded", KIT),
    ),
    Workload("g", "nothing to do for a minute", (), at_rest),
    Workload("f", "trigger to first task start", ("bench_first",), first_start),
    *(grow(workers, tasks) for workers in growth.WORKERS for tasks in growth.TASKS),
)
