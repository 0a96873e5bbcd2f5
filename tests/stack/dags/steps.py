"""Tasks with receipts: sixty steps that go on where they stopped, two that kill what runs them, work that is done once, one that heeds nothing."""

import os
import time
from datetime import timedelta
from pathlib import Path

from airflow.sdk import dag, get_current_context, task

from airflow_celery_kit.task import checkpoint, deduplicate, poisonous

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


@task(retries=9, retry_delay=timedelta(seconds=5))
def kill_whoever_runs_it() -> None:
    """Kill the process that runs it, each time, and say nothing of it."""
    leave("dies")
    os.kill(os.getpid(), 9)


@task(retries=0)
def once(params: dict) -> str:
    """Do the work of a key."""

    def work() -> str:
        leave("works")
        time.sleep(params["seconds"])
        return f"made by {get_current_context()['run_id']}"

    made = deduplicate({"key": params["key"]}, work)
    leave(made)
    return made


@task(retries=0, execution_timeout=timedelta(seconds=2))
def heed_nothing() -> None:
    """Go on whatever is raised."""
    while True:
        try:
            time.sleep(60)
        except BaseException:
            leave("goes on")


@dag(schedule=None)
def killer():
    kill_whoever_runs_it()


@dag(schedule=None, params={"key": "", "seconds": 0})
def one_key():
    once()


@dag(schedule=None)
def stubborn():
    heed_nothing()


@dag(schedule=None)
def steps():
    walk()


@dag(schedule=None)
def poison():
    kill_yourself()


steps()
poison()
killer()
one_key()
stubborn()
