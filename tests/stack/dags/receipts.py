"""Many tasks that leave a receipt when they start and when they end, so that runs are counted and not believed."""

import json
import os
import time
from datetime import timedelta
from pathlib import Path

from airflow.sdk import Param, dag, get_current_context, task


def leave(what: str, index: int) -> None:
    """Append one line to this run's receipts; a single short write is never torn."""
    context = get_current_context()
    line = {
        "what": what, "index": index, "attempt": context["ti"].try_number, "pid": os.getpid(),
        "host": os.environ.get("KIT_INSTANCE", ""), "at": time.time(),
    }  # fmt: skip
    folder = Path(os.environ["KIT_OUTPUT_DIR"]) / "receipts"
    folder.mkdir(exist_ok=True)
    name = context["run_id"].replace("/", "_").replace(":", "_")
    descriptor = os.open(folder / f"{name}.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(descriptor, (json.dumps(line) + "\n").encode())
    os.close(descriptor)


def work(index: int, params: dict) -> None:
    """Leave a receipt, take a while, leave another."""
    leave("start", index)
    time.sleep(params["seconds"])
    leave("end", index)


OPTIONS = {
    "schedule": None, "max_active_tasks": 200,
    "params": {"tasks": Param(8, type="integer"), "seconds": Param(1, type="number")},
}  # fmt: skip
WORK = task(retries=1, retry_delay=timedelta(seconds=5))(work)


@dag(**OPTIONS)
def receipts():
    @task
    def plan(params: dict) -> list[int]:
        return list(range(params["tasks"]))

    WORK.expand(index=plan())


@dag(**OPTIONS)
def hundred_receipts():
    """All tasks are due at once, without one that plans them."""
    WORK.expand(index=list(range(100)))


receipts()
hundred_receipts()
