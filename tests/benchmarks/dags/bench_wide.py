"""Ten Dags of a hundred tasks that do nothing."""

from airflow.sdk import dag
from bench_parts import OPTIONS, nothing


def hundred() -> None:
    nothing.expand(index=list(range(100)))


for number in range(10):
    dag(dag_id=f"bench_wide_{number}", **OPTIONS)(hundred)()
