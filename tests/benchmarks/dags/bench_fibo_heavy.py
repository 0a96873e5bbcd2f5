"""Ten heavy tasks, one after the other."""

from airflow.sdk import dag
from bench_parts import OPTIONS, fibo, steps


@dag(**OPTIONS)
def bench_fibo_heavy():
    steps(lambda name: fibo.override(task_id=name)(33), 10)


bench_fibo_heavy()
