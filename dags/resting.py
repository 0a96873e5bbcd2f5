"""Tasks that share a service and leave it alone while it is down.

After three failures within a minute the others wait, without a slot and without losing a try, and every ten seconds one of them tries it
out. Run it with `{"down_for": 20}` to see it: `kit breakers list`. Without that the service is up.
"""

import time
from datetime import timedelta

from airflow.sdk import dag, task

from airflow_celery_kit.task import guarded


@dag(
    schedule=None,
    catchup=False,
    tags=["kit", "example", "limits"],
    default_args={"execution_timeout": timedelta(minutes=1)},
    doc_md=__doc__,
    params={"down_for": 0},
)
def resting():
    @guarded(breaker={"name": "example-service", "failures": 3, "within": "1m", "open": "10s"})
    @task(retries=1, retry_delay=timedelta(seconds=1))
    def call(number: int, params: dict, dag_run) -> int:
        """Call a service that is down until so many seconds after the run began."""
        if time.time() < dag_run.start_date.timestamp() + params["down_for"]:
            raise ConnectionError("the service does not answer")
        return number

    call.expand(number=list(range(8)))


resting()
