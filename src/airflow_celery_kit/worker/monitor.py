"""Runs in: Flower; starts it on a Celery app that reaches the broker and knows nothing else.

Flower only listens to events and reads queue lengths. The executor's own app would import Airflow for it, which
costs 150 MB and seconds of start-up, and would bring the result backend's address along.
"""

import os
import sys
import time

import flower.app
import flower.events
from celery import Celery
from celery.events import EventReceiver
from celery.utils.log import get_logger

from airflow_celery_kit.worker import broker

# Between two attempts to reach a broker that is away.
PAUSE_SECONDS = 5.0


class Events(flower.events.Events):
    """Flower's listener. Flower 2.2's own doubles its pause at each failure, and stays blind after an outage for as long as it took."""

    def run(self) -> None:
        """Listen for ever."""
        while True:
            try:
                self.listen()
            except Exception as problem:
                get_logger(__name__).warning("no events: %s; trying again in %.0f s", problem, PAUSE_SECONDS)
                time.sleep(PAUSE_SECONDS)

    def listen(self) -> None:
        """Take up events until the broker is gone, then raise what its client raises."""
        with self.capp.connection() as connection:
            receiver = EventReceiver(connection, handlers={"*": self.on_event}, app=self.capp)
            receiver.capture(limit=None, timeout=None, wakeup=True)


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
    flower.app.Events = Events
    make_app().start(["flower", *sys.argv[1:]])
