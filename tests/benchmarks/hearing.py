"""Runs in: `make bench`; when each message was sent and taken, from the events that the kit's scheduler and workers send. Stock sends none."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery

from airflow_celery_kit.runtimes.environment import LOOPBACK
from airflow_celery_kit.settings import Settings

# Celery's events and what they are called here.
EVENTS = {"task-sent": "sent", "task-received": "taken"}
# The last event is on its way while the load's end is noticed.
LAST_SECONDS = 1.0

Moments = dict[str, dict[str, float]]


@contextmanager
def heard(settings: Settings) -> Iterator[Moments]:
    """Give a dictionary that fills up: by message id the wall clock seconds of `sent` and `taken`."""
    app = Celery(broker=f"redis://{LOOPBACK}:{settings['VALKEY_PORT']}/0", set_as_current=False)
    app.conf.update(broker_user="airflow", broker_password=settings["VALKEY_PASSWORD"])
    found: Moments = {}

    def note(event: dict[str, Any]) -> None:
        found.setdefault(event["uuid"], {})[EVENTS[event["type"]]] = event["timestamp"]

    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers=dict.fromkeys(EVENTS, note))
        thread = threading.Thread(target=lambda: receiver.capture(wakeup=False), daemon=True)
        thread.start()
        try:
            yield found
            threading.Event().wait(LAST_SECONDS)
        finally:
            receiver.should_stop = True
            thread.join()
