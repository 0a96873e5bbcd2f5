"""Runs in: airflow-controller and `kit repair`; what Airflow believes, and the changes that free what is stuck.

The role `kit` may read task instances and change the few columns named here; of the results it may write one row a message.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from airflow_celery_kit.core.repair import HEARTBEAT_SECONDS, Action, Finding, TaskInstance
from airflow_celery_kit.journal.teller import is_on

# The columns are the fields of TaskInstance, in their order.
BELIEVED = """
SELECT id::text,
       dag_id || '/' || run_id || '/' || task_id || CASE WHEN map_index >= 0 THEN '[' || map_index || ']' ELSE '' END
           || CASE WHEN try_number > 1 THEN '#' || try_number ELSE '' END,
       state, external_executor_id, coalesce(hostname, ''),
       extract(epoch FROM now() - queued_dttm)::float8, extract(epoch FROM now() - last_heartbeat_at)::float8,
       dag_id, run_id, task_id
FROM task_instance
WHERE state IN ('queued', 'running') AND external_executor_id IS NOT NULL AND queued_dttm IS NOT NULL
"""
# Without a scheduler's name on it, the row is nobody's failure when the executor hears of the old message's end.
REQUEUE = """
UPDATE task_instance
SET state = 'scheduled', queued_by_job_id = NULL, external_executor_id = NULL, queued_dttm = NULL, updated_at = now()
WHERE id = %(id)s AND state = 'queued' AND external_executor_id = %(message)s
"""
# The scheduler's own search for silent tasks does the rest: retry or failure, callbacks, the executor's slot.
FREE = """
UPDATE task_instance SET last_heartbeat_at = now() - interval '1 day'
WHERE id = %(id)s AND state = 'running' AND external_executor_id = %(message)s
  AND last_heartbeat_at < now() - %(silence)s * interval '1 s'
"""
# Two that change nothing: they say whether the message is still nobody's.
IDLE = """
SELECT 1 WHERE NOT EXISTS (
    SELECT 1 FROM task_instance WHERE external_executor_id = %(message)s AND state = 'running')
"""
# A sensor that reschedules itself keeps its message id until it is queued again.
ENDED = """
SELECT 1 WHERE NOT EXISTS (
    SELECT 1 FROM task_instance WHERE external_executor_id = %(message)s AND state IN ('scheduled', 'queued', 'running'))
"""
CHANGES = {Action.REQUEUE: REQUEUE, Action.REDELIVER: IDLE, Action.FREE: FREE, Action.CLOSE: ENDED}
# The executor polls the result of a message and holds its slot until there is one. Whatever it says of a task that is not
# scheduled, queued or running any more, the scheduler leaves that task alone.
RESULTS = {Action.REQUEUE: "FAILURE", Action.CLOSE: "SUCCESS"}
CLOSE = """
INSERT INTO celery_taskmeta (id, task_id, status, date_done)
VALUES (nextval('task_id_sequence'), %(message)s, %(status)s, now() AT TIME ZONE 'utc')
ON CONFLICT (task_id) DO UPDATE SET status = %(status)s WHERE celery_taskmeta.status NOT IN ('SUCCESS', 'FAILURE', 'REVOKED')
"""

# What was done and why, for the journal; nothing where the message names no task instance.
TELL = """
INSERT INTO kit.change (kind, source, task, dag_id, run_id, task_id, map_index, attempt, message, facts)
SELECT 'repaired', 'controller', id, dag_id, run_id, task_id, map_index, try_number, %(message)s,
    jsonb_build_object('action', %(action)s::text, 'reason', %(reason)s::text)
FROM task_instance WHERE id = nullif(%(id)s, '')::uuid
"""

Fence = Callable[[], AbstractContextManager[Any]]


def believed(connection: Any) -> list[TaskInstance]:
    """Return the task instances that Airflow takes for queued or running. Raises psycopg2.Error."""
    with connection, connection.cursor() as cursor:
        cursor.execute(BELIEVED)
        return [TaskInstance(*row) for row in cursor.fetchall()]


def started(connection: Any) -> frozenset[str]:
    """Return the messages whose result says that their task runs. Raises psycopg2.Error."""
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT task_id FROM celery_taskmeta WHERE status = 'STARTED'")
        return frozenset(message for (message,) in cursor.fetchall())


@contextmanager
def transaction(connection: Any) -> Iterator[Any]:
    """Give a cursor whose changes are committed together, for the operator's own call, which no lease guards."""
    with connection, connection.cursor() as cursor:
        yield cursor


def change(finding: Finding, fence: Fence, results: Any) -> bool:
    """Do what a finding says, inside `fence`; return whether it was still so. `results` is the result database.

    Raises LeaseLostError from the fence and psycopg2.Error; then nothing was changed.
    """
    values = {
        "id": finding.task.id, "message": finding.task.message, "silence": HEARTBEAT_SECONDS, "action": str(finding.action),
        "reason": finding.reason,
    }  # fmt: skip
    with fence() as cursor:
        cursor.execute(CHANGES[finding.action], values)
        if (changed := bool(cursor.rowcount)) and is_on(os.environ):
            cursor.execute(TELL, values)
    if changed and (status := RESULTS.get(finding.action)):
        with results, results.cursor() as cursor:
            cursor.execute(CLOSE, values | {"status": status})
    return changed
