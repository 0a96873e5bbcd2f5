"""Five tasks of 50 ms, one after the other."""

from airflow.sdk import dag
from bench_parts import OPTIONS, pause, steps


@dag(**OPTIONS)
def bench_chain():
    steps(lambda name: pause.override(task_id=name)(0.05), 5)


bench_chain()
