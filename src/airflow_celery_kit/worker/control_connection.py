"""Runs in: Celery workers; the connection for control commands: when it is lost the worker connects anew, as for every other connection.

With `retry_on_timeout` redis-py 8.1 makes a lost pub/sub connection anew by itself and then reads it without a time limit: kombu 5.7.0's event
loop stands still until the next control command comes, and takes no task meanwhile. A broker that is back at once after a restart is enough.
"""

from collections.abc import Callable
from typing import Any

from kombu.transport import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from airflow_celery_kit import patching

WRITTEN_AGAINST = {"_subscribe": "e2d449e9f594", "_receive_one": "d59b8751d897"}


def without_retry(subscribe: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return kombu's `Channel._subscribe` after which an error of its connection is raised, not retried."""

    def subscribe_and_tell(channel: Any) -> None:
        subscribe(channel)
        if connection := channel.subclient.connection:
            connection.retry = Retry(NoBackoff(), 0)

    return subscribe_and_tell


def install() -> None:
    """Change all channels of this process."""
    if patching.fits("noticing a lost connection for control commands", redis.Channel, WRITTEN_AGAINST):
        redis.Channel._subscribe = without_retry(redis.Channel._subscribe)
