"""Runs in: airflow-controller; sets aside a task that kills what runs it again and again, so that its workers can do other work.

It is failed while it waits for its next try. It stays on record with the reason, and runs again, with as many tries as before, when
somebody asks for that: `kit tasks retry`, or clearing it in Airflow.
"""

from typing import Any

from airflow_celery_kit.controller.database import Fence

KILLERS = "SELECT task::text, deaths FROM journal.killers(%s)"
SET_ASIDE = """
UPDATE task_instance SET state = 'failed', end_date = now(), updated_at = now()
WHERE id = %(id)s AND state IN ('up_for_retry', 'scheduled', 'queued')
"""
TELL = """
INSERT INTO kit.change (kind, source, task, dag_id, run_id, task_id, map_index, attempt, facts)
SELECT 'error', 'controller', id, dag_id, run_id, task_id, map_index, try_number,
    jsonb_build_object('error', %(error)s::text, 'deaths', %(deaths)s::integer)
FROM task_instance WHERE id = %(id)s
"""


def set_aside(journal: Any, fence: Fence, after: int) -> int:
    """Fail what waits and has killed what ran it `after` times; return how many tasks that were. Raises psycopg2.Error."""
    with journal, journal.cursor() as cursor:
        cursor.execute(KILLERS, (after,))
        killers = cursor.fetchall()
    return sum(_fail(id, deaths, fence) for id, deaths in killers)


def _fail(id: str, deaths: int, fence: Fence) -> bool:
    error = f"set aside: what ran it was killed {deaths} times, so it is not run again by itself; 'kit tasks retry' lets it run again"
    with fence() as cursor:
        cursor.execute(SET_ASIDE, {"id": id})
        if failed := bool(cursor.rowcount):
            cursor.execute(TELL, {"id": id, "deaths": deaths, "error": error})
    return failed
