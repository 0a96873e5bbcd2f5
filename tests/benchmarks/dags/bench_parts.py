"""What the workloads of the benchmarks are made of. Every task of `fibo` keeps the time of its own function in a file."""

import json
import os
import time
from pathlib import Path

from airflow.sdk import chain, get_current_context, task

OPTIONS = {"schedule": None, "catchup": False, "max_active_tasks": 1000, "max_active_runs": 100}


def fibonacci(n: int) -> int:
    """The function of the published comparison of workflow engines, recursive on purpose."""
    return n if n <= 1 else fibonacci(n - 1) + fibonacci(n - 2)


@task
def nothing(index: int = 0) -> None:
    """Do nothing."""


@task
def pause(seconds: float) -> None:
    """Take a while without CPU."""
    time.sleep(seconds)


@task
def fibo(n: int) -> int:
    """Compute, and keep how long the function itself took."""
    begun = time.perf_counter()
    result = fibonacci(n)
    line = json.dumps({"run": get_current_context()["run_id"], "own": time.perf_counter() - begun})
    with (Path(os.environ["KIT_OUTPUT_DIR"]) / "bench.jsonl").open("a") as file:
        file.write(line + "\n")
    return result


def steps(make, count: int) -> None:
    """Put `count` tasks one after the other."""
    chain(*[make(f"step_{number:02}") for number in range(1, count + 1)])
