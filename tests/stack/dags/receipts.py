"""Many tasks that leave a receipt when they start and when they end, so that runs are counted and not believed."""

import json
import os
import time
from datetime import timedelta
from pathlib import Path

from airflow.sdk import Param, dag, get_current_context, task

FOLDER = Path(os.environ.get("KIT_OUTPUT_DIR", "."))


def leave(what: str, index: int) -> None:
    """Append one line to this run's receipts; a single short write is never torn."""
    context = get_current_context()
    line = {
        "what": what, "index": index, "attempt": context["ti"].try_number, "pid": os.getpid(),
        "host": os.environ.get("KIT_INSTANCE", ""), "at": time.time(),
    }  # fmt: skip
    receipts = FOLDER / "receipts" / f"{file_name(context['run_id'])}.jsonl"
    receipts.parent.mkdir(exist_ok=True)
    descriptor = os.open(receipts, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(descriptor, (json.dumps(line) + "\n").encode())
    os.close(descriptor)


def file_name(run_id: str) -> str:
    """Return how files about this run are named."""
    return run_id.replace("/", "_").replace(":", "_")


def work(index: int, params: dict, run_id: str) -> None:
    """Leave a receipt, take a while or until the run is released, leave another."""
    leave("start", index)
    until, released = time.monotonic() + params["seconds"], FOLDER / f"{file_name(run_id)}.released"
    while (left := until - time.monotonic()) > 0 and not released.exists():
        time.sleep(min(left, 0.25))
    leave("end", index)


OPTIONS = {
    "schedule": None, "max_active_tasks": 200,
    "params": {"tasks": Param(8, type="integer"), "seconds": Param(1, type="number")},
}  # fmt: skip
AGAIN = {"retries": 1, "retry_delay": timedelta(seconds=5)}
WORK = task(**AGAIN)(work)


@dag(**OPTIONS)
def receipts():
    @task(**AGAIN)
    def plan(params: dict) -> list[int]:
        return list(range(params["tasks"]))

    WORK.expand(index=plan())


@dag(**OPTIONS)
def hundred_receipts():
    """All tasks are due at once, without one that plans them."""
    WORK.expand(index=list(range(100)))


receipts()
hundred_receipts()
