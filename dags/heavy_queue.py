"""A task that goes to the heavy workers: light tasks before and after it stay on the default queue.

`@task(queue="heavy")` is all it takes. Only a worker started for the queue `heavy` takes such a task, so the long
computation never occupies a slot that light tasks wait for. Where no heavy worker runs, it waits in its queue.
"""

from datetime import timedelta
from math import isqrt

from airflow.sdk import Param, dag, task


def count_by_sieve(limit: int) -> int:
    """How many primes there are up to the limit, by crossing out; entry i stands for 2i+1, the first one for 2."""
    odd = bytearray([1]) * ((limit + 1) // 2)
    for entry in range(1, isqrt(limit) // 2 + 1):
        if odd[entry]:
            prime = 2 * entry + 1
            crossed = slice(prime * prime // 2, None, prime)
            odd[crossed] = bytes(len(range(*crossed.indices(len(odd)))))
    return sum(odd)


def count_by_recurrence(limit: int) -> int:
    """The same number without looking at each one: counts of what is left after each prime, at limit // k only."""
    points = [limit // k for k in range(1, isqrt(limit) + 1)]
    points += range(points[-1] - 1, 0, -1)
    left = {point: point - 1 for point in points}
    for prime in range(2, isqrt(limit) + 1):
        if left[prime] == (before := left[prime - 1]):
            continue
        for point in points:
            if point < prime * prime:
                break
            left[point] -= left[point // prime] - before
    return left[limit]


@dag(
    schedule=None,
    catchup=False,
    tags=["kit", "example", "queue"],
    doc_md=__doc__,
    default_args={"execution_timeout": timedelta(minutes=10)},
    params={"limit": Param(150_000_000, type="integer", minimum=10, maximum=10**9, description="how far to count")},
)
def heavy_queue():
    @task
    def choose_limit(params: dict) -> int:
        """Hands on how far to count."""
        return params["limit"]

    @task(queue="heavy")
    def count_primes(limit: int) -> int:
        """The heavy part: about two seconds of one core and a byte of memory for every two numbers."""
        return count_by_sieve(limit)

    @task
    def check(limit: int, primes: int) -> str:
        """Counts again in a cheaper way and fails if the heavy task was wrong."""
        if primes != (expected := count_by_recurrence(limit)):
            raise ValueError(f"{expected} primes up to {limit}, not {primes}")
        return f"{primes:,} primes up to {limit:,}"

    limit = choose_limit()
    check(limit, count_primes(limit))


heavy_queue()
