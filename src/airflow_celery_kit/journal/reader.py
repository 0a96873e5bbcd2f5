"""Runs in: airflow-apiserver; reads the journal's records and events, as a role that may do nothing else.

Lists come in pages, newest first; a cursor says where the next page begins.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DataError, OperationalError

from airflow_celery_kit import addresses
from airflow_celery_kit.journal.overview import Overview
from airflow_celery_kit.keepalive import KEEPALIVE

PAGE, MOST = 50, 500
# What a list of tasks may be narrowed by, and how.
OF_TASKS = {
    "status": "status = ANY(:status)",
    "dag_id": "dag_id = :dag_id",
    "run_id": "run_id = :run_id",
    "task_id": "task_id = :task_id",
    "queue": "queue = :queue",
    "worker": "worker = :worker",
    "message": "message = :message",
    "error": "error IS NOT NULL AND strpos(lower(error), lower(:error)) > 0",
    "visible": "dag_id = ANY(:visible)",
    "after": "(created_at, id) < (:after_at, CAST(:after_id AS uuid))",
}
OF_WORKFLOWS = {
    # A run that is paused is in a state of Airflow's too.
    "state": "(state = ANY(:state) OR ('paused' = ANY(:state) AND paused AND completed_at IS NULL))",
    "dag_id": "dag_id = :dag_id",
    "visible": "dag_id = ANY(:visible)",
    "after": "(created_at, dag_id, run_id) < (:after_at, :after_dag, :after_run)",
}
# What a page needs no more than a look at; whether there is a stack trace says whose words an error has.
BRIEF = "to_jsonb(task) - ARRAY['input', 'trace', 'state_seq', 'counted'] || jsonb_build_object('traced', trace IS NOT NULL)"
TASKS = f"SELECT {BRIEF} FROM journal.task AS task WHERE {{where}} ORDER BY created_at DESC, id DESC LIMIT :limit"
TASK = "SELECT to_jsonb(task) - ARRAY['state_seq', 'counted'] FROM journal.task AS task WHERE id = :id"
EVENTS = """
SELECT jsonb_build_object('id', id, 'at', at, 'kind', kind, 'source', source, 'worker', worker, 'message', message, 'facts', facts)
FROM journal.event WHERE task = :id ORDER BY at, seq NULLS LAST LIMIT 2000
"""
# Attempts that another one follows are told apart from what is still to be done.
COUNTS = """
SELECT dag_id, run_id, status, count(*) FROM journal.task
WHERE replaced_by IS NULL AND (dag_id, run_id) IN (SELECT * FROM unnest(CAST(:dags AS text[]), CAST(:runs AS text[])))
GROUP BY dag_id, run_id, status
"""
WORKFLOWS = (
    "SELECT to_jsonb(workflow) - 'state_seq' FROM journal.workflow WHERE {where} "
    "ORDER BY created_at DESC, dag_id DESC, run_id DESC LIMIT :limit"
)
WORKFLOW = "SELECT to_jsonb(workflow) - 'state_seq' FROM journal.workflow WHERE dag_id = :dag_id AND run_id = :run_id"
GRAPH = "SELECT jsonb_build_object('number', number, 'tasks', tasks) FROM journal.graph WHERE version = CAST(:version AS uuid)"
DONE = frozenset({"SUCCESS", "FAILURE", "CANCELLED", "TIMEOUT", "NO_DATA"})

NO_CURSOR = "the cursor is none of this list's: begin without one"

# What no database takes: NUL, and half of a pair.
NO_TEXT = re.compile("[\0\ud800-\udfff]")

Record = dict[str, Any]


class AwayError(Exception):
    """The journal's database does not answer."""


class CursorError(ValueError):
    """A cursor that no page was ever given with."""


@dataclass(frozen=True)
class Page:
    """Some records, and the cursor of the next page, None on the last one."""

    records: list[Record]
    next: str | None


def engine_for(address: str) -> Engine:
    """Return an engine for the journal. `address` is libpq's or SQLAlchemy's."""
    return create_engine(
        addresses.sqlalchemy(address),
        pool_size=5, max_overflow=5, pool_pre_ping=True, pool_recycle=3600,
        connect_args={"connect_timeout": 5, "options": "-c statement_timeout=5s", **KEEPALIVE},
    )  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """The journal's queries. Each raises AwayError while its database does not answer."""

    engine: Engine

    def tasks(self, wanted: Mapping[str, Any], limit: int = PAGE, cursor: str | None = None) -> Page:
        """Return attempts of tasks, narrowed by names of OF_TASKS. Raises CursorError."""
        values = dict(wanted)
        if cursor:
            values["after_at"], values["after_id"] = _opened(cursor, 2)
        found = self._some(TASKS, OF_TASKS, values, limit)
        return _page(found, limit, ("created_at", "id"))

    def task(self, id: UUID) -> Record | None:
        """Return the whole record of one attempt, None where there is none."""
        return self._one(TASK, id=id)

    def events(self, id: UUID) -> list[Record]:
        """Return what happened to an attempt, in order."""
        return self._all(EVENTS, {"id": id})

    def workflows(self, wanted: Mapping[str, Any], limit: int = PAGE, cursor: str | None = None) -> Page:
        """Return Dag runs with the number of their tasks by status, narrowed by names of OF_WORKFLOWS. Raises CursorError."""
        values = dict(wanted)
        if cursor:
            values["after_at"], values["after_dag"], values["after_run"] = _opened(cursor, 3)
        page = _page(self._some(WORKFLOWS, OF_WORKFLOWS, values, limit), limit, ("created_at", "dag_id", "run_id"))
        return Page(self._counted(page.records), page.next)

    def workflow(self, dag_id: str, run_id: str) -> Record | None:
        """Return one Dag run with its graph and the number of its tasks by status, None where there is none."""
        found = self._one(WORKFLOW, dag_id=dag_id, run_id=run_id)
        return self._counted([found])[0] | {"graph": self._one(GRAPH, version=found["version"])} if found else None

    def rows(self, query: str) -> list[Any]:
        """Return what a query without values finds."""
        return self._rows(query, {})

    @cached_property
    def overview(self) -> Overview:
        """What is open, and what has ended in the last hour."""
        return Overview(self._rows)

    def _counted(self, workflows: list[Record]) -> list[Record]:
        """Add to each run its progress: how many of its tasks are done, of how many, and how many in each status."""
        names = [(one["dag_id"], one["run_id"]) for one in workflows]
        counts: dict[tuple[str, str], dict[str, int]] = {name: {} for name in names}
        values = {"dags": [dag for dag, _ in names], "runs": [run for _, run in names]}
        for dag, run, status, number in self._rows(COUNTS, values):
            counts[dag, run][status] = number
        return [one | progress(counts[one["dag_id"], one["run_id"]]) for one in workflows]

    def _some(self, query: str, known: Mapping[str, str], values: dict[str, Any], limit: int) -> list[Record]:
        """Run a list's query with one condition for each value; one more than `limit` says whether there is a next page."""
        wanted = {"after" if name.startswith("after_") else name for name in values}
        where = " AND ".join(known[name] for name in known if name in wanted) or "true"
        return self._all(query.replace("{where}", where), values | {"limit": limit + 1})

    def _one(self, query: str, **values: Any) -> Record | None:
        return next(iter(self._all(query, values)), None)

    def _all(self, query: str, values: Mapping[str, Any]) -> list[Record]:
        return [found for (found, *_) in self._rows(query, values)]

    def _rows(self, query: str, values: Mapping[str, Any]) -> list[Any]:
        try:
            with self.engine.connect() as connection:
                return list(connection.execute(text(query), values))
        except OperationalError as problem:
            raise AwayError(str(problem.orig).strip()) from problem
        except DataError as problem:
            raise CursorError(NO_CURSOR) from problem


def progress(counts: Mapping[str, int]) -> Record:
    """Return a workflow's progress in numbers and as `3/5`."""
    done, total = sum(number for status, number in counts.items() if status in DONE), sum(counts.values())
    return {"counts": dict(counts), "done": done, "total": total, "progress": f"{done}/{total}"}


def _page(found: list[Record], limit: int, keys: Sequence[str]) -> Page:
    shown = found[:limit]
    more = len(found) > limit and shown
    return Page(shown, _closed([shown[-1][key] for key in keys]) if more else None)


def _closed(values: list[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not NO_TEXT.search(value)


def _opened(cursor: str, length: int) -> list[str]:
    try:
        found = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError) as problem:
        raise CursorError(NO_CURSOR) from problem
    if not isinstance(found, list) or len(found) != length or not all(map(_is_text, found)):
        raise CursorError(NO_CURSOR)
    return found
