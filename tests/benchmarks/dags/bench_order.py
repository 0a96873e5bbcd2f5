"""Five tasks of 2 s, one after the other; twenty such chains at once show in which order work is done."""

from airflow.sdk import dag
from bench_parts import OPTIONS, pause, steps


@dag(**OPTIONS)
def bench_order():
    steps(lambda name: pause.override(task_id=name)(2), 5)


bench_order()
