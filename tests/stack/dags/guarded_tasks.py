"""Tasks that heed a breaker or a limit, and leave a receipt when they begin and when they end."""

import json
import os
import time
import urllib.request
from datetime import timedelta
from pathlib import Path

from airflow.sdk import Param, dag, get_current_context, task

from airflow_celery_kit.task import guarded

FOLDER = Path(os.environ.get("KIT_OUTPUT_DIR", "."))
OPTIONS = {"schedule": None, "max_active_tasks": 600}
TASKS = {"tasks": Param(100, type="integer")}


def leave(what: str, index: int) -> None:
    """Append one line to this run's receipts; a single short write is never torn."""
    context = get_current_context()
    line = {
        "what": what,
        "index": index,
        "attempt": context["ti"].try_number,
        "at": time.time(),
        "host": os.environ.get("KIT_INSTANCE", ""),
    }
    name = context["run_id"].replace("/", "_").replace(":", "_")
    path = FOLDER / "receipts" / f"{name}.jsonl"
    path.parent.mkdir(exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(descriptor, (json.dumps(line) + "\n").encode())
    os.close(descriptor)


@dag(**OPTIONS, params=TASKS | {"url": Param("http://127.0.0.1:1", type="string")})
def calls_a_service():
    @task
    def plan(params: dict) -> list[int]:
        return list(range(params["tasks"]))

    @guarded(breaker={"name": "stack-service", "failures": 3, "within": "1m", "open": "5s"})
    @task(retries=1, retry_delay=timedelta(seconds=1))
    def call(index: int, params: dict) -> None:
        urllib.request.urlopen(f"{params['url']}/{index}", timeout=10).read()

    call.expand(index=plan())


@dag(**OPTIONS, params=TASKS | {"seconds": Param(1, type="number")})
def holds_a_slot():
    @task
    def plan(params: dict) -> list[int]:
        return list(range(params["tasks"]))

    @guarded(limit={"name": "stack-db", "slots": 5})
    @task(retries=5, retry_delay=timedelta(seconds=1))
    def hold(index: int, params: dict) -> None:
        leave("start", index)
        time.sleep(params["seconds"])
        leave("end", index)

    hold.expand(index=plan())


calls_a_service()
holds_a_slot()
