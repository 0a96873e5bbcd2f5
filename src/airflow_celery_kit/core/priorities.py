"""Runs in: scheduler, controller, Dag processor and api-server; pure: from a task's place in its workflow to a weight, from a weight to a step.

The broker has ten lists for each queue; workers empty step 0 first. Airflow knows a whole number, the priority weight, and sends the
greatest first. Steps follow the logarithm of weights, so that any range of weights finds its order: twice the weight is one step.
"""

from bisect import bisect_left

STEPS = 10
MOST_URGENT = 2 ** (STEPS - 1)
# Airflow's column holds no more (integer of PostgreSQL).
GREATEST = 2**31 - 1
# The step of what ends a workflow. Step 0 is for what passes all of that: what is overdue, and what authors call more urgent.
LAST = 1
# What a message that belongs to no task says in place of its task: a callback.
NO_TASK = "workload"
# So many tasks may follow at most for steps 1 to 8: each of the last five tasks of a chain has a step of its own.
AHEAD = (0, 1, 2, 3, 4, 7, 15, 63)


def step(weight: int) -> int:
    """Return the step of a weight: 0 from 512 on, 9 for 1 and below."""
    return STEPS - 1 - min(STEPS - 1, max(1, weight).bit_length() - 1)


def weight_of(step: int) -> int:
    """Return the least weight of a step; steps below 0 are counted as 0, those beyond the last as the last."""
    return MOST_URGENT >> min(STEPS - 1, max(0, step))


def finish_first(priority: int, remaining: int) -> int:
    """Return the weight of a task whose workflow has `remaining` tasks after it: the fewer, the greater.

    `priority` is what the author wrote, 1 by default; twice of it is one step.
    """
    return min(GREATEST, max(1, priority) * MOST_URGENT >> LAST + bisect_left(AHEAD, remaining))
