"""Runs in: the scheduler, in a thread; tells the journal the task graph of each Dag version that a run was created with.

Airflow changes a version no more once it has a run, and forgets it with its Dag. A version is told once by each scheduler, and again
after a day, so that a record which comes after its graph was pruned has one.
"""

import json
import logging
import time
import uuid
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import psycopg2

from airflow_celery_kit.core.journal.events import Source
from airflow_celery_kit.core.journal.graphs import opened, tasks_of

log = logging.getLogger(__name__)

KIND = "graph"
AGAIN_SECONDS = 86400.0
LOOK = """
SELECT version.id::text AS version, version.dag_id, version.version_number AS number, data, data_compressed
FROM dag_version AS version JOIN serialized_dag ON dag_version_id = version.id WHERE version.id = ANY(%s::uuid[])
"""


class Graphs:
    """Which versions were told, and when, on a steady clock."""

    def __init__(self) -> None:
        self.told: dict[str, float] = {}

    def events(self, cursor: Any, versions: Iterable[str]) -> list[str]:
        """Return an event for each version that is to be told. What cannot be read is said and keeps no other event."""
        wanted = [one for one in versions if time.monotonic() - self.told.get(one, -AGAIN_SECONDS) >= AGAIN_SECONDS]
        if not wanted:
            return []
        cursor.execute("SAVEPOINT graphs")
        try:
            cursor.execute(LOOK, (wanted,))
        except psycopg2.ProgrammingError as problem:
            cursor.execute("ROLLBACK TO SAVEPOINT graphs")
            return not_kept(problem)
        return [line for row in cursor.fetchall() for line in lines_of(*row)]

    def were_told(self, versions: Iterable[str]) -> None:
        """Remember versions that are on record; those of long ago are forgotten."""
        now = time.monotonic()
        self.told = {one: at for one, at in self.told.items() if now - at < AGAIN_SECONDS}
        self.told |= {one: now for one in versions if one not in self.told}


def lines_of(*row: Any) -> list[str]:
    """Return a version's event, none for one that cannot be read."""
    try:
        return [event(*row)]
    except (LookupError, TypeError, AttributeError, ValueError, zlib.error) as problem:
        return not_kept(problem)


def not_kept(problem: Exception) -> list[str]:
    """Say why there is no event."""
    log.warning("the graph of a Dag is not kept: %s: %s", type(problem).__name__, problem)
    return []


def event(version: str, dag_id: str, number: int, data: Mapping[str, Any] | None, compressed: Any) -> str:
    """Return the event of a version."""
    facts = {"version": version, "number": number, "tasks": tasks_of(opened(data, compressed))}
    known = {"id": str(uuid.uuid4()), "at": time.time(), "kind": KIND, "source": Source.AIRFLOW, "dag_id": dag_id}
    return json.dumps(known | {"facts": facts})
