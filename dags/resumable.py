"""A long task that says how far it is, and goes on where it stopped when its worker dies.

Kill the worker while it runs (`kit kill airflow-worker-1`): the next attempt does the parts that are left, and no other one.
"""

import time
from datetime import timedelta

from airflow.sdk import dag, task

from airflow_celery_kit.task import business_result, checkpoint, progress

PARTS = 30
# So that there is time to look, and to kill the worker.
PAUSE_SECONDS = 1
SIZE = 5_000


def primes_between(first: int, last: int) -> int:
    """How many primes there are from `first` on, below `last`."""
    return sum(
        all(number % divisor for divisor in range(2, int(number**0.5) + 1)) for number in range(max(first, 2), last)
    )


@task(retries=2, retry_delay=timedelta(seconds=5))
def count_in_parts() -> int:
    """Count the primes below 150,000 in parts, each of them once, however often the worker dies."""
    done, found = checkpoint.load([0, 0])
    for part in range(done, PARTS):
        found += primes_between(part * SIZE, (part + 1) * SIZE)
        time.sleep(PAUSE_SECONDS)
        checkpoint.save([part + 1, found])
        progress(part + 1, PARTS, f"{found} primes so far")
    business_result({"primes": found})
    return found


@dag(
    schedule=None,
    catchup=False,
    tags=["kit", "example", "checkpoint"],
    default_args={"execution_timeout": timedelta(minutes=10)},
    doc_md=__doc__,
)
def resumable():
    count_in_parts()


resumable()
