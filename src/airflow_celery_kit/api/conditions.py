"""Runs in: airflow-apiserver; lets an action happen only while the record is the one that the caller has seen, where they say which (`If-Match`)."""

from typing import Any
from uuid import UUID

from fastapi import Depends, HTTPException

from airflow_celery_kit.api.etags import Tags, is_one_of, tag_of
from airflow_celery_kit.api.records import reader, run_record, task_record
from airflow_celery_kit.api.visible import LoggedDep, VisibleDep

CHANGED = "it has changed since it was looked at: look again"


def same_task(id: UUID, dags: VisibleDep, logs: LoggedDep, if_match: Tags = None) -> None:
    """Raise HTTPException when the record of an attempt has another ETag."""
    if if_match:
        check(task_record(reader(), dags, logs, id), if_match)


def same_run(dag_id: str, run_id: str, dags: VisibleDep, if_match: Tags = None) -> None:
    """Raise HTTPException when the record of a run has another ETag."""
    if if_match:
        check(run_record(reader(), dags, dag_id, run_id), if_match)


def check(found: dict[str, Any], named: str) -> None:
    """Raise HTTPException unless one of the ETags is that of what was found."""
    if not is_one_of(tag_of(found), named):
        raise HTTPException(412, CHANGED)


SAME_TASK, SAME_RUN = Depends(same_task), Depends(same_run)
