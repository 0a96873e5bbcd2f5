"""Runs in: Celery workers; a worker that has lost its broker waits five seconds at most between two tries.

kombu 5.7.0 waits two seconds more after each try, up to thirty, and Celery 5.6.3 has no setting for it: after an outage of some minutes a
worker would come back half a minute later than its broker, and look lost until then. That it never gives up is a
setting (`worker/celery_settings.py`).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from celery.worker.consumer.consumer import Consumer

from airflow_celery_kit import patching

MOST_SECONDS = 5.0

WRITTEN_AGAINST = {"ensure_connected": "ad7a8f9d370d"}


def quickly(ensure_connected: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return Celery's `Consumer.ensure_connected` with tries that are MOST_SECONDS apart at most."""

    def ensure_connected_soon(consumer: Any, connection: Any) -> Any:
        connection.ensure_connection = partial(connection.ensure_connection, interval_max=MOST_SECONDS)
        return ensure_connected(consumer, connection)

    return ensure_connected_soon


def install() -> None:
    """Change every worker of this process."""
    if patching.fits("trying often to reach the broker", Consumer, WRITTEN_AGAINST):
        Consumer.ensure_connected = quickly(Consumer.ensure_connected)
