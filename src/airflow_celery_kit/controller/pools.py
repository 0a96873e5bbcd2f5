"""Runs in: airflow-controller; keeps the broker's backlog near the number of slots, by the size of each queue's pool.

What is weighed again must still be Airflow's to send: a message that was sent early is overtaken in the broker only. So each queue
has a pool in Airflow, which holds what runs and what was sent ahead; a full one keeps no other queue waiting.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_celery_kit.controller.database import Fence
from airflow_celery_kit.core.routing import pool_of

RESIZE = "UPDATE slot_pool SET slots = %(slots)s WHERE pool = %(pool)s AND slots <> %(slots)s"
# Tasks whose pool was deleted in the UI would never be sent.
MAKE = """
INSERT INTO slot_pool (pool, slots, description, include_deferred)
SELECT %(pool)s, %(slots)s, 'new work of this queue that names no pool; the controller sets its size', false
WHERE NOT EXISTS (SELECT 1 FROM slot_pool WHERE pool = %(pool)s)
ON CONFLICT (pool) DO NOTHING
"""


def slots_of(reports: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many slots live workers have for each queue, but those that take no task."""
    found: dict[str, int] = {}
    for report in reports:
        if report.get("drained"):
            continue
        for queue in report.get("queues", ()):
            found[queue] = found.get(queue, 0) + int(report.get("slots", 0))
    return found


def resize(slots: Mapping[str, int], ahead: float, fence: Fence) -> dict[str, int]:
    """Give each queue's pool its slots and `ahead` times as many; return the pools that changed or were missing.

    A queue without slots has room for one task, which is seen to wait; more would take the executor's places from other queues.

    Raises LeaseLostError from the fence and psycopg2.Error.
    """
    changed = {}
    for queue, number in slots.items():
        size = max(1, math.ceil(number * (1 + ahead)))
        with fence() as cursor:
            for statement in (RESIZE, MAKE):
                cursor.execute(statement, {"pool": pool_of(queue), "slots": size})
                if cursor.rowcount:
                    changed[pool_of(queue)] = size
    return changed
