"""2 x 40 tasks that do nothing."""

from airflow.sdk import dag
from bench_parts import OPTIONS, nothing


@dag(**OPTIONS)
def bench_fan_out():
    nothing.override(task_id="left").expand(index=list(range(40)))
    nothing.override(task_id="right").expand(index=list(range(40)))


bench_fan_out()
