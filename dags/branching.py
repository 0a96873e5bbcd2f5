"""A branch: one side runs, the other is skipped, and the join runs all the same.

The same sum is found in two ways. `size` decides: up to `SMALL` numbers are added one by one, more than that by
formula. A join with the usual trigger rule would be skipped with the skipped side; this one wants no failure and at
least one success.
"""

from datetime import timedelta

from airflow.sdk import Param, TriggerRule, dag, task

SMALL = 1000


def branch_for(size: int) -> str:
    """The id of the task that suits the size."""
    return "add_one_by_one" if size <= SMALL else "add_by_formula"


def sum_of_squares(size: int) -> int:
    """1 + 4 + 9 + ... + size², number by number."""
    return sum(number * number for number in range(1, size + 1))


def sum_by_formula(size: int) -> int:
    """The same sum at once."""
    return size * (size + 1) * (2 * size + 1) // 6


@dag(
    schedule=None,
    catchup=False,
    tags=["kit", "example", "branch"],
    doc_md=__doc__,
    default_args={"execution_timeout": timedelta(minutes=2)},
    params={"size": Param(1000, type="integer", minimum=1, maximum=100_000, description="how many squares to add up")},
)
def branching():
    @task.branch
    def choose(params: dict) -> str:
        """Names the side that runs; the other one is skipped."""
        return branch_for(params["size"])

    @task
    def add_one_by_one(params: dict) -> int:
        """The side for small sizes."""
        return sum_of_squares(params["size"])

    @task
    def add_by_formula(params: dict) -> int:
        """The side for large sizes."""
        return sum_by_formula(params["size"])

    @task(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
    def join(counted: int | None, computed: int | None) -> int:
        """The answer of the side that ran; the skipped one left none."""
        return computed if counted is None else counted

    counted, computed = add_one_by_one(), add_by_formula()
    choose() >> [counted, computed]
    join(counted, computed)


branching()
