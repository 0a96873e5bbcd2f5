"""Runs in: Flower; starts it on a Celery app that reaches the broker and knows nothing else.

Flower only listens to events and reads queue lengths. The executor's own app would import Airflow for it, which
costs 150 MB and seconds of start-up, and would bring the result backend's address along.
"""

import os
import sys

from celery import Celery

from airflow_celery_kit.worker import broker


def make_app() -> Celery:
    """Return the app for the broker that `AIRFLOW__CELERY__BROKER_URL` names."""
    monitor = Celery("airflow", broker=os.environ["AIRFLOW__CELERY__BROKER_URL"])
    monitor.conf.update(
        accept_content=["json"],
        event_serializer="json",
        task_default_queue=os.environ.get("AIRFLOW__OPERATORS__DEFAULT_QUEUE", "default"),
        broker_transport_options=dict(broker.TRANSPORT_OPTIONS),
        broker_connection_retry_on_startup=True,
        **broker.credentials(),
    )
    return monitor


if __name__ == "__main__":
    make_app().start(["flower", *sys.argv[1:]])
