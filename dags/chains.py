"""Chains of short tasks that compete for the same slots: each step waits for the one before it, the chains for nothing.

Several chains at once show in which order the kit gives out work: whether all of them crawl along together, or the
first ones finish while the last ones wait.
"""

from datetime import timedelta

from airflow.sdk import TaskGroup, chain, dag, task

CHAINS = 4
STEPS = 5


def collatz(start: int) -> int:
    """How many steps of the 3n+1 rule lead from the start to 1."""
    steps = 0
    while start != 1:
        start = 3 * start + 1 if start % 2 else start // 2
        steps += 1
    return steps


def longest_below(limit: int) -> int:
    """The start below the limit whose way to 1 is the longest."""
    return max(range(1, limit), key=collatz)


@task
def search(limit: int) -> int:
    """One step: a few milliseconds of arithmetic over a range that grows from step to step."""
    return longest_below(limit)


@dag(
    schedule=None,
    catchup=False,
    tags=["kit", "example", "chain"],
    doc_md=__doc__,
    default_args={"execution_timeout": timedelta(minutes=2)},
)
def chains():
    for number in range(1, CHAINS + 1):
        with TaskGroup(f"chain_{number}"):
            chain(*[search.override(task_id=f"step_{step}")(500 * step) for step in range(1, STEPS + 1)])


chains()
