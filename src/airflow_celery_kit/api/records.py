"""Runs in: airflow-apiserver; the routes of tasks and workflows. A user sees those of the Dags that Airflow lets them read."""

import os
from collections.abc import Container
from functools import cache
from typing import Annotated, Any
from uuid import UUID

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import APIRouter, Depends, HTTPException, Query, Response

from airflow_celery_kit.api.answers.plain import as_it_is
from airflow_celery_kit.api.answers.tasks import AttemptRecord, Attempts, Events
from airflow_celery_kit.api.answers.workflows import Overview, RunRecord, Runs
from airflow_celery_kit.api.etags import UNCHANGED, AnswerDep
from airflow_celery_kit.api.visible import Logged, LoggedDep, ReadableDep, VisibleDep, attempt_for, events_for
from airflow_celery_kit.core.journal.hops import hops
from airflow_celery_kit.core.journal.runs import RunState
from airflow_celery_kit.core.journal.statuses import Status
from airflow_celery_kit.journal.reader import MOST, PAGE, CursorError, Page, Reader, engine_for
from airflow_celery_kit.journal.teller import ADDRESS

router = APIRouter()
MAY_READ = Depends(requires_access_dag("GET", DagAccessEntity.TASK_INSTANCE))
MAY_READ_RUNS = Depends(requires_access_dag("GET", DagAccessEntity.RUN))
Word = Annotated[str | None, Query(max_length=250)]
Limit = Annotated[int, Query(ge=1, le=MOST)]
States = Annotated[list[RunState] | None, Query(max_length=10)]
Cursor = Annotated[str | None, Query(max_length=2000)]


@cache
def reader_at(address: str) -> Reader:
    """Return this process's reader of a journal."""
    return Reader(engine_for(address))


def reader() -> Reader:
    """Return the reader; without a journal there is nothing to be found."""
    if not (address := os.environ.get(ADDRESS)):
        raise HTTPException(404, "no journal is kept here: set KIT_JOURNAL_CONN for the api-server")
    try:
        return reader_at(address)
    except ValueError as problem:
        raise HTTPException(503, f"KIT_JOURNAL_CONN cannot be used: {problem}") from problem


def reader_or_none() -> Reader | None:
    """Return the reader, None where there is no journal, or its address is none."""
    try:
        return reader()
    except HTTPException:
        return None


ReaderDep = Annotated[Reader, Depends(reader)]


@router.get("/overview", dependencies=[MAY_READ], response_model=Overview)
def overview(journal: ReaderDep, dags: VisibleDep) -> Response:
    """Return how many attempts are in each status now, ended ones of the last hour only, and what ended in each of its minutes."""
    return as_it_is(journal.overview.look(dags))


@router.get("/tasks", dependencies=[MAY_READ], response_model=Attempts, responses=UNCHANGED)
def tasks(
    answer: AnswerDep, journal: ReaderDep, dags: ReadableDep, logs: LoggedDep, status: Annotated[list[Status] | None, Query()] = None,
    dag_id: Word = None, run_id: Word = None, task_id: Word = None, queue: Word = None, worker: Word = None, message: Word = None,
    error: Word = None, limit: Limit = PAGE, cursor: Cursor = None,
) -> Response:  # fmt: skip
    """Return attempts of tasks, newest first. `error` looks where the user may read task logs."""
    given = {
        "dag_id": dag_id, "run_id": run_id, "task_id": task_id, "queue": queue, "worker": worker, "message": message, "error": error,
        "status": [str(one) for one in status] if status else None,
    }  # fmt: skip
    named = dags.named(dag_id)
    shown = list(filter(logs, named)) if error is not None else named
    wanted = {name: value for name, value in given.items() if value is not None} | {"visible": shown}
    page = _page("tasks", lambda: journal.tasks(wanted, limit, cursor))
    return answer(page | {"tasks": [attempt_for(one, logs) for one in page["tasks"]]})


@router.get("/tasks/{id}", dependencies=[MAY_READ], response_model=AttemptRecord, responses=UNCHANGED)
def task(answer: AnswerDep, journal: ReaderDep, dags: ReadableDep, logs: LoggedDep, id: UUID) -> Response:
    """Return the whole record of one attempt, with the time that each hop took."""
    return answer(task_record(journal, dags, logs, id))


@router.get("/tasks/{id}/events", dependencies=[MAY_READ], response_model=Events, responses=UNCHANGED)
def events(answer: AnswerDep, journal: ReaderDep, dags: ReadableDep, logs: LoggedDep, id: UUID) -> Response:
    """Return everything that is on record of one attempt, in order."""
    found = task_record(journal, dags, logs, id)
    return answer({"events": events_for(journal.events(id), logs(found["dag_id"]))})


@router.get("/workflows", dependencies=[MAY_READ_RUNS], response_model=Runs, responses=UNCHANGED)
def workflows(
    answer: AnswerDep, journal: ReaderDep, dags: ReadableDep, dag_id: Word = None, state: States = None,
    limit: Limit = PAGE, cursor: Cursor = None,
) -> Response:  # fmt: skip
    """Return Dag runs, newest first, with the number of their tasks in each status. What is `paused` is `running` or `queued` too."""
    given = {"dag_id": dag_id, "state": [str(one) for one in state] if state else None}
    wanted = {name: value for name, value in given.items() if value is not None} | {"visible": dags.named(dag_id)}
    return answer(_page("workflows", lambda: journal.workflows(wanted, limit, cursor)))


@router.get(
    "/workflows/{dag_id}/{run_id:path}", dependencies=[MAY_READ_RUNS], response_model=RunRecord, responses=UNCHANGED
)
def workflow(answer: AnswerDep, journal: ReaderDep, dags: ReadableDep, dag_id: str, run_id: str) -> Response:
    """Return one Dag run, with the graph of its Dag as it was when the run was created: the version's `number`, `tasks`, what each comes after."""
    return answer(run_record(journal, dags, dag_id, run_id))


def task_record(journal: Reader, dags: Container[str], logs: Logged, id: UUID) -> dict[str, Any]:
    """Return the record of an attempt that the user may see, as they may see it. Raises HTTPException."""
    found = attempt_for(_known(journal.task(id), dags, f"no task {id} is on record"), logs)
    return found | {"hops": hops(found)}


def run_record(journal: Reader, dags: Container[str], dag_id: str, run_id: str) -> dict[str, Any]:
    """Return the record of a run that the user may see. Raises HTTPException."""
    return _known(journal.workflow(dag_id, run_id), dags, f"no run {run_id} of {dag_id} is on record")


def _known(found: dict[str, Any] | None, dags: Container[str], otherwise: str) -> dict[str, Any]:
    """Return a record that the user may see. What they may not see is as good as not there."""
    if found is None or found["dag_id"] not in dags:
        raise HTTPException(404, otherwise)
    return found


def _page(name: str, look: Any) -> dict[str, Any]:
    try:
        page: Page = look()
    except CursorError as problem:
        raise HTTPException(400, str(problem)) from problem
    return {name: page.records, "next": page.next}
