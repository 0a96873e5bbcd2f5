"""Runs in: airflow-apiserver; the routes that cancel or retry many attempts at once, chosen as lists are.

The first call says how many there are and changes nothing; the second one has to name that number, so that nobody ends more than was seen.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import AuthManagerDep, GetUserDep
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from airflow_celery_kit.api.actions import MAY_CHANGE_TASKS, Name, cancel_task, retry_task
from airflow_celery_kit.api.answers.actions import ManyChanged
from airflow_celery_kit.api.records import ReaderDep
from airflow_celery_kit.api.visible import Logged, LoggedDep, VisibleDep
from airflow_celery_kit.core.journal.names import name_of
from airflow_celery_kit.core.journal.statuses import ENDED, WAITING, Status
from airflow_celery_kit.journal.reader import MOST, Reader

router = APIRouter()
OPEN = (*WAITING, Status.PROCESSING)
# What another attempt follows is not retried.
OVER = tuple(status for status in ENDED if status != Status.RETRY)
SHOWN = 20


class Many(BaseModel):
    """Which attempts, and how many the caller knows of; without `count` nothing is changed."""

    model_config = ConfigDict(extra="forbid")
    status: list[Status] = Field(default_factory=list, description="Of one of these; of any where it is left out.")
    dag_id: Name | None = Field(None, description="Of this Dag.")
    run_id: Name | None = Field(None, description="Of this Dag run.")
    task_id: Name | None = Field(None, description="Of this task.")
    queue: Name | None = Field(None, description="Of this queue.")
    worker: Name | None = Field(None, description="On this worker.")
    error: Name | None = Field(None, description="With this in their error, upper or lower case.")
    count: int | None = Field(None, ge=1, le=MOST, description="How many they are, as the call without it has said.")


@router.post("/tasks/cancel", dependencies=[MAY_CHANGE_TASKS])
def cancel_many(
    body: Many, journal: ReaderDep, dags: VisibleDep, logs: LoggedDep, session: SessionDep, user: GetUserDep,
    manager: AuthManagerDep,
) -> ManyChanged:  # fmt: skip
    """Cancel the attempts that are open and fit, `count` of them; without `count` say how many they are and change nothing."""
    found = chosen(journal, body, dags, logs, OPEN)
    return each(found, body.count, lambda id: cancel_task(id, session, user, manager))


@router.post("/tasks/retry", dependencies=[MAY_CHANGE_TASKS])
def retry_many(
    body: Many, journal: ReaderDep, dags: VisibleDep, logs: LoggedDep, session: SessionDep, user: GetUserDep,
    manager: AuthManagerDep,
) -> ManyChanged:  # fmt: skip
    """Retry the attempts that have ended and fit, `count` of them; without `count` say how many they are and change nothing."""
    found = [one for one in chosen(journal, body, dags, logs, OVER) if not one["replaced_by"]]
    return each(found, body.count, lambda id: retry_task(id, session, user, manager))


def chosen(
    journal: Reader, body: Many, dags: list[str], logs: Logged, statuses: tuple[Status, ...]
) -> list[dict[str, Any]]:
    """Return what fits. Raises HTTPException where nothing was said, or more fit than a call may change."""
    said = body.model_dump(exclude={"status", "count"}, exclude_none=True)
    if not said and not body.status:
        raise HTTPException(422, "name at least one thing that they have in common")
    wanted = [str(status) for status in statuses if not body.status or status in body.status]
    shown = list(filter(logs, dags)) if body.error else dags
    page = journal.tasks(said | {"status": wanted, "visible": shown}, MOST)
    if page.next:
        raise HTTPException(422, f"more than {MOST} fit: narrow it")
    return page.records


def each(found: list[dict[str, Any]], count: int | None, change: Callable[[UUID], Any]) -> ManyChanged:
    """Change each one, if their number is the one that the caller knows; what has changed meanwhile is left out and told."""
    names = [name_of(one) for one in found[:SHOWN]]
    if count is None:
        return ManyChanged(count=len(found), changed=0, left_out={}, some=names)
    if count != len(found):
        raise HTTPException(409, f"there are {len(found)} now, not {count}: look again")
    left_out: dict[str, str] = {}
    for one in found:
        try:
            change(UUID(one["id"]))
        except HTTPException as refused:
            left_out[one["id"]] = str(refused.detail)
    return ManyChanged(count=len(found), changed=len(found) - len(left_out), left_out=left_out, some=names)
