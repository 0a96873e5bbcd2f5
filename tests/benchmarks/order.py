"""Runs in: `make bench`; in which order equal chains of tasks were done, and how far from the best order that is. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import mean
from typing import Any

# Where nobody says when a message was sent: from a task's queued row to its message in the broker, and from there to its start.
ON_ITS_WAY_SECONDS = 0.1
# From a message taken out of the broker to the worker's event that says so: it is read, unpacked and handed to the pool.
RECEIVED_SECONDS = 0.01


@dataclass(frozen=True)
class Step:
    """One task of a chain: which chain, the how manieth; when its message was in the broker and when a worker took it, when it ended."""

    chain: str
    number: int
    sent: float
    taken: float
    end: float


def steps_of(tasks: Iterable[dict[str, Any]]) -> list[Step]:
    """Return the steps of a load whose tasks are called `step_01`, `step_02`, ..."""
    return [
        Step(
            chain=task["run"],
            number=int(task["task"].rpartition("_")[2]),
            sent=task.get("sent", task["queued"] + ON_ITS_WAY_SECONDS),
            taken=task["taken"] - RECEIVED_SECONDS if "taken" in task else task["start"],
            end=task["end"],
        )
        for task in tasks
    ]


def completions(steps: Iterable[Step]) -> list[float]:
    """Return when each chain was done, the first one first."""
    done: dict[str, float] = {}
    for step in steps:
        done[step.chain] = max(done.get(step.chain, 0.0), step.end)
    return sorted(done.values())


def lower_bound(chains: int, length: int, slots: int, makespan: float) -> float:
    """Return the least mean completion of equal chains, in seconds.

    Chain j of n can be done no sooner than after its own L tasks and after j x L tasks on m slots; a task's time is what
    it was in this run: makespan x m / (n x L).
    """
    task = makespan * slots / (chains * length)
    return task * mean(max(length, number * length / slots) for number in range(1, chains + 1))


def inversions(steps: list[Step]) -> tuple[int, int]:
    """Return how often a slot took a task while a later step of another chain was waiting in the broker, and how often such a
    step was due, its predecessor being done, but not yet sent."""
    ends = {(step.chain, step.number): step.end for step in steps}
    waiting = due = 0
    for taken in steps:
        later = [one for one in steps if one.number > taken.number and one.taken > taken.taken]
        if any(one.sent < taken.taken for one in later):
            waiting += 1
        elif any(ends[one.chain, one.number - 1] <= taken.taken for one in later):
            due += 1
    return waiting, due


def figures(steps: list[Step], slots: int) -> dict[str, float]:
    """Return the figures of the bars: mean completion over its lower bound, the first chain's share of the makespan, inversions."""
    done = completions(steps)
    makespan, length = done[-1], len(steps) / len(done)
    waiting, due = inversions(steps)
    return {
        "seconds": makespan,
        "mean completion / lower bound": mean(done) / lower_bound(len(done), int(length), slots, makespan),
        "first chain done / makespan": done[0] / makespan,
        "inversions": waiting / len(steps),
        "inversions, successor not yet sent": due / len(steps),
    }
