"""Urgent work without an end, beside tasks of no urgency that become due once all slots are taken."""

import os

from airflow.sdk import dag, task
from bench_parts import OPTIONS, pause

# Stock has no policies.
AGING = ["kit:policy:aging"] if "KIT_PRIORITY_POLICY" in os.environ else []


@task
def plan(count: int) -> list[float]:
    """What follows ends its workflow."""
    return [2.0] * count


@dag(**OPTIONS)
def bench_urgent():
    pause.expand(seconds=plan(120))


@dag(tags=AGING, **OPTIONS)
def bench_aged():
    last_in_line = {"priority_weight": 1, "weight_rule": "absolute"}
    first = pause.override(task_id="first")(4)
    first >> pause.override(task_id="aged", **last_in_line).expand(seconds=[0.1] * 8)


bench_urgent()
bench_aged()
