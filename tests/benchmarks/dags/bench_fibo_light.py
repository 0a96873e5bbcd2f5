"""Forty light tasks, one after the other."""

from airflow.sdk import dag
from bench_parts import OPTIONS, fibo, steps


@dag(**OPTIONS)
def bench_fibo_light():
    steps(lambda name: fibo.override(task_id=name)(10), 40)


bench_fibo_light()
