"""A workflow with every kind of end, for tests of the journal: it says how far it is, fails where it is told to, and succeeds later."""

import os
import time
from datetime import timedelta
from pathlib import Path

from airflow.sdk import Param, dag, get_current_context, task

FOLDER = Path(os.environ.get("KIT_OUTPUT_DIR", "."))


def ran(name: str) -> None:
    """Leave a receipt: one line for each time that a task has run."""
    context = get_current_context()
    run = context["run_id"].replace("/", "_").replace(":", "_")
    (FOLDER / "told").mkdir(exist_ok=True)
    with (FOLDER / "told" / run).open("a") as file:
        file.write(f"{name} {context['ti'].try_number}\n")


@task
def first(size: int) -> int:
    """Say how far it is and what it made."""
    from airflow_celery_kit.task import business_result, progress

    ran("first")
    for number in range(1, size + 1):
        progress(number, size, f"part {number}")
    business_result({"rows": 17, "password": "hush-hush-hush"})
    return size


@task(retries=1, retry_delay=timedelta(seconds=3))
def stumbles(size: int) -> int:
    """Fail once, and count in both attempts."""
    from airflow_celery_kit.task import metric

    ran("stumbles")
    for _ in range(5):
        metric("told_steps", kind="counter", foot="left")
    metric("1 wrong name")
    if get_current_context()["ti"].try_number == 1:
        raise ValueError("stumbled over the first stone")
    return size


@task
def breaks(size: int) -> int:
    """Fail until somebody has put it right."""
    ran("breaks")
    if not (FOLDER / "told" / "right").exists():
        raise RuntimeError("the bridge is down")
    return size


@task
def after(*sizes: int) -> None:
    """Wait for both."""
    ran("after")


@task
def nothing() -> None:
    """Find nothing to do."""
    from airflow_celery_kit.task import no_data

    ran("nothing")
    no_data("no new files")


@task(execution_timeout=timedelta(seconds=1))
def too_long() -> None:
    """Take longer than it may, until somebody has put it right."""
    ran("too_long")
    if not (FOLDER / "told" / "right").exists():
        time.sleep(60)


@dag(schedule=None, default_args={"retries": 0}, params={"password": Param("hush-hush-hush", type="string")})
def told():
    size = first(5)
    after(stumbles(size), breaks(size))
    nothing()
    too_long()


told()
