"""One task that does nothing."""

from airflow.sdk import dag
from bench_parts import OPTIONS, nothing


@dag(**OPTIONS)
def bench_first():
    nothing()


bench_first()
