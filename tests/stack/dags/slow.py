"""A task that talks while it runs, for tests that look at it meanwhile."""

import os
import time
from datetime import timedelta
from pathlib import Path

from airflow.sdk import Param, dag, task


@dag(
    schedule=None,
    catchup=False,
    params={"seconds": Param(20, type="integer", minimum=0)},
    default_args={"execution_timeout": timedelta(minutes=5)},
)
def slow():
    """Sleep in small steps, one log line each, until the run is released."""

    @task
    def count(params: dict | None = None, run_id: str | None = None):
        released = Path(os.environ["KIT_OUTPUT_DIR"]) / f"{run_id.replace(':', '_')}.released"
        for second in range(params["seconds"]):
            if released.exists():
                break
            print(f"counted to {second}", flush=True)
            time.sleep(1)
        return params["seconds"]

    count()


slow()
