"""Runs in: airflow-controller; carries to the broker which workers are to take no task, as it stands in the metadata database.

Written again whenever the broker says otherwise, so that workers that start, and a broker that came back empty, are told too.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from airflow_celery_kit.controller.broker import Broker
from airflow_celery_kit.controller.database import Fence
from airflow_celery_kit.controller.lease import LeaseLostError
from airflow_celery_kit.worker.broker import ORDERS_KEY, WORK

ASKED = "SELECT worker, wanted FROM kit.worker_order"
# An order to take no task stays until somebody lifts it (ADR 0023). One to work again is needed by a process that rests, and by no other:
# no report is a day old, and no process lives for 90 days without a broker.
HEEDED_DAYS, GONE_DAYS = 1, 90
FORGET = """
DELETE FROM kit.worker_order WHERE wanted = %(work)s AND (
    (worker = ANY(%(working)s) AND at < now() - make_interval(days => %(heeded)s))
    OR (worker <> ALL(%(live)s) AND at < now() - make_interval(days => %(gone)s))
) RETURNING worker
"""


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


def forget(broker: Broker, fence: Fence) -> list[str]:
    """Remove orders to work again that were heeded, or whose worker is gone for good; return whose. Raises psycopg2.Error, valkey.ValkeyError."""
    reports = broker.reports()
    working = [name for name, said in reports.items() if said.get("drained") is False]
    values = {"work": WORK, "working": working, "live": [*reports], "heeded": HEEDED_DAYS, "gone": GONE_DAYS}
    with suppress(LeaseLostError), fence() as cursor:
        cursor.execute(FORGET, values)
        return sorted(name for (name,) in cursor.fetchall())
    return []
