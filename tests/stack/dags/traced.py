"""A task with spans of its own, and one that comes after it."""

from airflow.sdk import dag, task
from opentelemetry import trace


@dag(schedule=None)
def traced():
    @task
    def extract() -> int:
        """Work in two steps that show in the trace."""
        tracer = trace.get_tracer("shop")
        with tracer.start_as_current_span("fetch orders") as span:
            span.set_attribute("orders", 17)
            with tracer.start_as_current_span("parse"):
                return sum(range(1_000_000))

    @task
    def load(found: int) -> None:
        """Come after it."""
        print(found)

    load(extract())


traced()
