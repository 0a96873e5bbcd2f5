"""Tasks that wait for a limit: of ten that are due at once, three are under way, and none of the others holds a slot of a worker.

The limit is defined by the way here; one in config/limits.yaml with the same name comes first, and is changed without a restart.
`kit limits list` shows it at work, `kit limits suspend example-db --reason maintenance` stops it.
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
)
def limited():
    @guarded(limit={"name": "example-db", "slots": 3})
    @task
    def query(number: int) -> int:
        """Ask a database that takes three connections."""
        time.sleep(0.5)
        return number * number

    @task
    def add(rows: list[int]) -> int:
        return sum(rows)

    add(query.expand(number=list(range(10))))


limited()
