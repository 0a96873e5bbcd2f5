"""Runs in: a worker's first process, once; a Dag that touches what most Dags touch, so that their tasks find it loaded."""

from airflow.sdk import dag, task


@dag(dag_id="kit_warm", schedule=None)
def kit_warm() -> None:
    """Have a plain task, a mapped one, and one that depends on both."""

    @task
    def plain() -> int:
        return 1

    @task
    def mapped(number: int) -> int:
        return number

    plain() >> mapped.expand(number=[1, 2]) >> plain.override(task_id="last")()


kit_warm()
