"""Runs in: `make bench`; what is measured on each side, and the figures that each load gives."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.benchmarks import idle, order
from tests.benchmarks.sides import SLOTS, Side, Timed

Figures = dict[str, float]
CHAINS = 20


def plain(side: Side, timed: Timed) -> Figures:
    """Time from the first trigger to the last run's end, CPU for each task."""
    return {"seconds": timed.makespan, "cpu per task": timed.cpu_per_task}


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


def at_rest(side: Side, timed: Timed) -> Figures:
    """What a stack uses while nothing is to do."""
    return idle.figures(side)


@dataclass(frozen=True)
class Workload:
    """A load, the Dags it starts at once, and what is computed from what was seen."""

    letter: str
    what: str
    dags: tuple[str, ...]
    figures: Callable[[Side, Timed], Figures] = plain
    pairs: int = 5


WORKLOADS = (
    Workload("a", "fan-out: 2 x 40 no-op mapped tasks, 4 slots", ("bench_fan_out",), by_process),
    Workload("b", "chain of 5 x 50 ms, trigger included", ("bench_chain",)),
    Workload("c1", "40 light tasks one after the other, fibo(10)", ("bench_fibo_light",), by_process),
    Workload("c2", "10 heavy tasks one after the other, fibo(33)", ("bench_fibo_heavy",), above_own),
    Workload("d", "10 Dags x 100 no-op tasks", tuple(f"bench_wide_{number}" for number in range(10)), by_process, 2),
    Workload("e", "20 chains of 5 x 50 ms", ("bench_chain",) * CHAINS),
    Workload("o", "20 chains of 5 x 2 s", ("bench_order",) * CHAINS, in_order),
    Workload("g", "nothing to do for a minute", (), at_rest),
    Workload("f", "trigger to first task start", ("bench_first",), first_start),
)
