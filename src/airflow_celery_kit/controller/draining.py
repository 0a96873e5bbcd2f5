"""Runs in: airflow-controller; carries to the broker which workers are to take no task, as it stands in the metadata database.

Written again whenever the broker says otherwise, so that workers that start, and a broker that came back empty, are told too.
"""

from collections.abc import Mapping
from typing import Any

from airflow_celery_kit.controller.broker import Broker
from airflow_celery_kit.worker.broker import ORDERS_KEY

ASKED = "SELECT worker, wanted FROM kit.worker_order"


def asked(metadata: Any) -> dict[str, str]:
    """Return what each worker is to do, by its name. Raises psycopg2.Error."""
    with metadata, metadata.cursor() as cursor:
        cursor.execute(ASKED)
        return dict(cursor.fetchall())


def tell(broker: Broker, orders: Mapping[str, str]) -> bool:
    """Have the broker hold these orders and no others; return whether it held something else. Raises valkey.ValkeyError."""
    held = {name.decode(): word.decode() for name, word in broker.client.hgetall(ORDERS_KEY).items()}
    if held == orders:
        return False
    with broker.client.pipeline(transaction=True) as pipeline:
        pipeline.delete(ORDERS_KEY)
        if orders:
            pipeline.hset(ORDERS_KEY, mapping=dict(orders))
        pipeline.execute()
    return True
