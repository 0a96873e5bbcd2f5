"""Many short tasks that say where they ran, for tests of scaling."""

import time
from datetime import timedelta

from airflow.sdk import Param, dag, task


@dag(
    schedule=None,
    catchup=False,
    params={"tasks": Param(24, type="integer", minimum=1), "seconds": Param(1.0, type="number")},
    default_args={"execution_timeout": timedelta(minutes=5)},
)
def wide():
    """Fan out over equal tasks."""

    @task
    def numbers(params: dict | None = None) -> list[int]:
        return list(range(params["tasks"]))

    @task
    def work(number: int, params: dict | None = None):
        time.sleep(params["seconds"])
        return number

    work.expand(number=numbers())


wide()
