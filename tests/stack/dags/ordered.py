"""Work in classes, work that may wait for ever, and work that never ends, to see what runs first."""

import time
from collections.abc import Callable

from airflow.sdk import Param, dag, task

SECONDS = {"schedule": None, "max_active_tasks": 200, "params": {"seconds": Param(1.0, type="number")}}


@task
def plan(count: int) -> list[int]:
    """Let what follows be spread."""
    return list(range(count))


@task(retries=0)
def work(index: int, params: dict) -> None:
    """Take a while."""
    time.sleep(params["seconds"])


def last_in_line() -> None:
    """Some tasks of the least weight that there is."""
    work.override(priority_weight=1, weight_rule="absolute").expand(index=list(range(6)))


def forty() -> None:
    """Half of it is new work, the other half continues a workflow."""
    work.expand(index=list(range(20)))
    work.override(task_id="later").expand(index=plan(20))


# More than there are slots, and a few that should pass them.
PAIRS = {
    "relaxed": (24, ("kit:policy:deadline", "kit:deadline:1h")),
    "pressing": (6, ("kit:policy:deadline", "kit:deadline:20s")),
    "heavy": (24, ("kit:policy:fast-and-heavy",)),
    "fast": (6, ("kit:policy:fast-and-heavy",)),
    "computing": (24, ("kit:policy:saturation", "kit:kind:cpu")),
    "reading": (6, ("kit:policy:saturation", "kit:kind:io")),
}


def alike(count: int) -> Callable[[], None]:
    """So many tasks that begin a workflow and end it."""
    return lambda: work.expand(index=list(range(count)))


@dag(**SECONDS)
def urgent():
    """Ends its workflow, the most urgent that work without an age can be."""
    work.expand(index=plan(64))


urgent()
dag(dag_id="aged", tags=["kit:policy:aging"], **SECONDS)(last_in_line)()
dag(dag_id="forgotten", **SECONDS)(last_in_line)()
for name, (count, tags) in PAIRS.items():
    dag(dag_id=name, tags=list(tags), **SECONDS)(alike(count))()
for name in ("gold", "bronze"):
    dag(dag_id=f"class_{name}", tags=["kit:policy:class", f"kit:class:{name}"], **SECONDS)(forty)()
