"""Runs in: tests, an Airflow of somebody's own; tasks of every kind of end, and one that waits."""

import os
import time
from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, task

from airflow_celery_kit.task import business_result, progress

GATE = Path(os.environ["AIRFLOW_HOME"], "gate")

with DAG("quiet", schedule=None):
    task(task_id="only")(lambda: None)()

with DAG("alone", schedule=None):

    @task
    def tells() -> None:
        progress(1, 2, "half way")
        progress(2, 2)
        business_result({"rows": 17})

    @task(retries=1, retry_delay=timedelta(seconds=1))
    def stumbles(**context: object) -> None:
        if context["ti"].try_number == 1:
            raise ValueError("stumbled over the first stone")

    @task
    def breaks() -> None:
        raise RuntimeError("the bridge is down")

    @task
    def after() -> None: ...

    [tells(), stumbles()] >> breaks() >> after()

with DAG("held", schedule=None):

    @task
    def waits() -> None:
        while not GATE.exists():
            time.sleep(0.1)

    @task
    def follows() -> None: ...

    waits() >> follows()
