"""A task of sixty steps that leaves a receipt for each, keeps how far it is, and waits to be killed in its fortieth."""

import os
import time
from datetime import timedelta
from pathlib import Path

from airflow.sdk import dag, get_current_context, task

from airflow_celery_kit.task import checkpoint, poisonous

FOLDER = Path(os.environ.get("KIT_OUTPUT_DIR", "."))
STEPS, FATAL = 60, 40
AGAIN = {"retries": 2, "retry_delay": timedelta(seconds=1)}


def leave(what: str) -> None:
    """Append a line to this run's receipts."""
    run = get_current_context()["run_id"].replace("/", "_").replace(":", "_")
    (FOLDER / "steps").mkdir(exist_ok=True)
    with (FOLDER / "steps" / run).open("a") as file:
        file.write(f"{what}\n")


@task(**AGAIN)
def walk() -> None:
    """Go on where the attempt before has stopped."""
    for step in range(checkpoint.load(0), STEPS):
        if step == FATAL and get_current_context()["ti"].try_number == 1:
            leave("waits")
            time.sleep(300)
        leave(str(step))
        checkpoint.save(step + 1)


@task(retries=5, retry_delay=timedelta(seconds=1))
def kill_yourself() -> None:
    """Kill the process that runs it, each time."""
    with poisonous("the cliff", 2):
        leave("jumps")
        os.kill(os.getpid(), 9)


@dag(schedule=None)
def steps():
    walk()


@dag(schedule=None)
def poison():
    kill_yourself()


steps()
poison()
