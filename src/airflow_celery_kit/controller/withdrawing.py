"""Runs in: airflow-controller; takes messages of cancelled tasks out of the broker, so that no worker begins them.

One that a worker has taken is left to it: Airflow refuses to let that task run. The result of the message is closed, because the
executor holds a slot for as long as there is none.
"""

from typing import Any

from airflow_celery_kit.controller.broker import Broker, identity
from airflow_celery_kit.controller.database import CLOSE, Fence

ASKED = "SELECT message FROM kit.withdrawal WHERE done_at IS NULL ORDER BY asked_at LIMIT 500"
DONE = "UPDATE kit.withdrawal SET done_at = clock_timestamp() WHERE message = %(message)s AND done_at IS NULL RETURNING task"
TELL = """
INSERT INTO kit.change (kind, source, task, dag_id, run_id, task_id, map_index, attempt, message, facts)
SELECT 'withdrawn', 'controller', id, dag_id, run_id, task_id, map_index, try_number, %(message)s, %(facts)s
FROM task_instance WHERE id = %(task)s AND kit.is_told()
"""
# What was done is of no use after the executor has heard of it.
FORGET = "DELETE FROM kit.withdrawal WHERE done_at < now() - interval '1 hour'"


def withdraw(metadata: Any, results: Any, broker: Broker, fence: Fence) -> int:
    """Do what was asked for; return how many messages were found in the broker. Raises psycopg2.Error, valkey.ValkeyError."""
    with metadata, metadata.cursor() as cursor:
        cursor.execute(ASKED)
        asked = {message for (message,) in cursor.fetchall()}
    if not asked:
        return 0
    found = take_out(broker, asked)
    for message in sorted(asked):
        with results, results.cursor() as cursor:
            cursor.execute(CLOSE, {"message": message, "status": "REVOKED"})
        with fence() as cursor:
            cursor.execute(DONE, {"message": message})
            if row := cursor.fetchone():
                where = "in the broker" if message in found else "with a worker or nowhere"
                cursor.execute(TELL, {"message": message, "task": row[0], "facts": f'{{"was": "{where}"}}'})
            cursor.execute(FORGET)
    return len(found)


def take_out(broker: Broker, messages: set[str]) -> set[str]:
    """Remove messages, by their ids, from every list; return those that were there."""
    found = set()
    for key in broker.lists():
        for raw in broker.client.lrange(key, 0, -1):
            if (name := identity(raw)[0]) in messages and broker.client.lrem(key, 1, raw):
                found.add(name)
    return found
