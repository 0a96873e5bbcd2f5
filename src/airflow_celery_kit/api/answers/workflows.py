"""Runs in: airflow-apiserver; what is on record of Dag runs, and the overview. The fields of a run are the columns of `journal.workflow`."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from airflow_celery_kit.api.answers.fields import said, when
from airflow_celery_kit.core.journal.statuses import Status


class Run(BaseModel):
    """What is on record of one Dag run. Null is what nobody has said so far."""

    dag_id: str = said("Its Dag.")
    run_id: str = said("Its name, once for each Dag.")
    state: str = said("Airflow's last word.")
    type: str | None = said("Airflow's kind of run, such as `manual` or `scheduled`.")
    asked_by: str | None = said("Which part of Airflow made it, such as `rest_api`.")
    user_name: str | None = said("Who started it, where that was a person.")
    version: UUID | None = said("The version of its Dag that it was created with.")
    conf: dict[str, Any] | None = said("What it was started with, in names of its Dag's; null where that is nothing.")
    logical_date: datetime | None = when("Its logical date in Airflow")
    created_at: datetime = when("When it was asked for")
    started_at: datetime | None = when("When it started")
    completed_at: datetime | None = when("When it ended")
    changed_at: datetime = when("When Airflow last said something of it")
    paused_at: datetime | None = when("When it was paused last")
    resumed_at: datetime | None = when("When it was resumed last")
    paused: bool = said("Whether it is paused.")
    counts: dict[Status, int] = said("How many of its tasks are in each status; those with none are left out.")
    done: int = said("How many of its tasks have ended, whatever their end was.")
    total: int = said("How many tasks of it are on record, of each the last attempt.")
    progress: str = said("Both in short, as `3/5`.")


class GraphTask(BaseModel):
    """One task of a Dag's version."""

    task_id: str = said("Its name.")
    operator: str | None = said("Its operator.")
    upstream: list[str] = said("The tasks that it comes after, by name.")
    mapped: bool = said("Whether there may be any number of it.")
    trigger_rule: str = said("Which ends of those before let it run.")
    group: str | None = said("The innermost group that it is in; null where it is in none.")


class Graph(BaseModel):
    """The graph of a Dag as it was when a run was created."""

    number: int = said("The version's number, from 1.")
    tasks: list[GraphTask] = said("Its tasks, by name.")


class RunRecord(Run):
    """The whole record of one Dag run."""

    graph: Graph | None = said(
        "The graph of its Dag as it was when the run was created; null where it is not on record."
    )


class Runs(BaseModel):
    """A page of Dag runs, newest first."""

    workflows: list[Run] = said("The runs.")
    next: str | None = said("The cursor of the next page, null on the last one.")


class Minute(BaseModel):
    """What ended in one minute."""

    at: datetime = when("When the minute began")
    done: int = said("How many attempts succeeded in it, or had nothing to do.")
    failed: int = said("How many failed in it or ran out of time, also where another try follows.")


class Overview(BaseModel):
    """What is open, and what has ended in the last hour."""

    statuses: dict[Status, int] = said("How many attempts are in each status; ended ones of the last hour only.")
    minutes: list[Minute] = said("The sixty minutes of that hour, the oldest first.")
    lost: int = said("How many events of the last seven days no disk took.")
