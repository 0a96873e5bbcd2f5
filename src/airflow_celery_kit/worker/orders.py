"""Runs in: Celery workers; takes no task while there is an order to take none, and takes some again when another one says so.

The controller keeps the orders in the broker. Where there is none, as in a broker that came back empty, all stays as it is. A connection
begins with every queue, so what is heeded then is heeded before anything is taken.
"""

from typing import Any

from celery.utils.log import get_logger

from airflow_celery_kit.worker.broker import DRAIN, ORDERS_KEY, WORK

log = get_logger(__name__)


class Orders:
    """What this worker was told last."""

    def __init__(self) -> None:
        self.drained = False

    def heed(self, consumer: Any, client: Any, name: str) -> None:
        """Read the order for a worker of this name and do what it says."""
        word = client.hget(ORDERS_KEY, name)
        word = word.decode() if isinstance(word, bytes) else word
        if word == WORK and self.drained:
            self.drained = False
            take_again(consumer)
            log.warning("takes tasks again, as it was told")
        if word == DRAIN and not self.drained:
            self.drained = True
            log.warning("takes no further task, as it was told")
        if self.drained:
            take_nothing(consumer)


def take_nothing(consumer: Any) -> None:
    """Leave all queues. What the broker hands out at this moment goes back to where it was; what was taken is done."""
    for queue in list(consumer.task_consumer.queues):
        consumer.task_consumer.cancel_by_queue(queue.name)


def take_again(consumer: Any) -> None:
    """Consume the queues that the worker was started for."""
    for queue in consumer.app.amqp.queues.consume_from.values():
        consumer.task_consumer.add_queue(queue)
    consumer.task_consumer.consume()
