"""A task that talks while it runs, for tests that look at it meanwhile."""

import time
from datetime import timedelta

from airflow.sdk import Param, dag, task


@dag(
    schedule=None,
    catchup=False,
    params={"seconds": Param(20, type="integer", minimum=0)},
    default_args={"execution_timeout": timedelta(minutes=5)},
)
def slow():
    """Sleep in small steps, one log line each."""

    @task
    def count(params: dict | None = None):
        for second in range(params["seconds"]):
            print(f"counted to {second}", flush=True)
            time.sleep(1)
        return params["seconds"]

    count()


slow()
