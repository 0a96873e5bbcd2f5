"""Runs in: airflow-controller; results of Celery that nobody asks for any more.

The executor asks for a message's result for as long as it thinks that the message is under way, and holds a slot meanwhile.
"""

from collections.abc import Iterator
from functools import partial
from math import isinf
from typing import Any

from airflow_celery_kit.controller.broker import Broker
from airflow_celery_kit.core.housekeeping import LIVE
from airflow_celery_kit.rounds import Round

PAGE = 1000
LIMIT = "results"
UNDER_WAY = "SELECT external_executor_id FROM task_instance WHERE state IN %s AND external_executor_id IS NOT NULL"
OLD = """
SELECT date_done, id, task_id, pg_column_size(found.*), extract(epoch FROM now() AT TIME ZONE 'utc' - date_done)::float8
FROM celery_taskmeta AS found
WHERE date_done < now() AT TIME ZONE 'utc' - %(age)s * interval '1 s' AND (date_done, id) > (%(date)s, %(id)s)
ORDER BY date_done, id LIMIT %(most)s
"""
# One that was written to meanwhile is young again.
REMOVE = "SELECT kit_forget_results(%(ids)s::bigint[], %(age)s * interval '1 s')"

Row = tuple[Any, int, str, int, float]


def sweep(results: Any, metadata: Any, broker: Broker, round_: Round) -> None:
    """Remove old results of messages that are nowhere any more. Raises psycopg2.Error, valkey.ValkeyError."""
    age = round_.limits[LIMIT]
    if isinf(age):
        return
    kept = in_use(metadata, broker)
    row = round_.found("celery_taskmeta", LIMIT, 0, 0, 0.0)
    for page in pages(results, age):
        old = [one for one in page if one[2] not in kept]
        row["rows"] += len(old)
        row["bytes"] += sum(one[3] for one in old)
        row["oldest_seconds"] = max(row["oldest_seconds"], *(round(one[4]) for one in old), 0)
        round_.remove_once(row, partial(remove, results, old, age))
        if not round_.goes_on():
            return


def in_use(metadata: Any, broker: Broker) -> set[str]:
    """Return the messages that a task or the broker still knows. Raises psycopg2.Error, valkey.ValkeyError."""
    messages = broker.messages()
    with metadata, metadata.cursor() as cursor:
        cursor.execute(UNDER_WAY, (LIVE,))
        return {message for (message,) in cursor.fetchall()} | messages.waiting | set(messages.unacked)


def pages(results: Any, age: float) -> Iterator[list[Row]]:
    """Yield old results, the oldest first."""
    last: tuple[Any, int] = ("-infinity", 0)
    while True:
        with results, results.cursor() as cursor:
            cursor.execute(OLD, {"age": age, "date": last[0], "id": last[1], "most": PAGE})
            page = cursor.fetchall()
        if page:
            yield page
        if len(page) < PAGE:
            return
        last = page[-1][:2]


def remove(results: Any, old: list[Row], age: float) -> tuple[int, int]:
    """Remove results in one short transaction; return how many, and their bytes."""
    with results, results.cursor() as cursor:
        cursor.execute(REMOVE, {"ids": [one[1] for one in old], "age": age})
        return int(cursor.fetchone()[0]), sum(one[3] for one in old)
