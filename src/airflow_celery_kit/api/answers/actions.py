"""Runs in: airflow-apiserver; what an action has done."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel

from airflow_celery_kit.api.answers.fields import said


class TaskCancelled(BaseModel):
    """An attempt was cancelled."""

    id: UUID = said("The attempt.")
    cancelled: bool = said("That it is cancelled: true.")


class TaskRetried(BaseModel):
    """A task runs again."""

    id: UUID = said("The new attempt.")
    instead_of: UUID = said("The one that it follows.")


class ManyChanged(BaseModel):
    """How many attempts fit, and what became of them."""

    count: int = said("How many attempts fit.")
    changed: int = said("How many of them were changed; 0 for a call without `count`.")
    left_out: dict[str, str] = said("Those that were not, by id, each with the sentence that says why.")
    some: list[str] = said("The first twenty of them, as `dag/run/task`, mapped ones as `dag/run/task[0]`.")


class OfRun(BaseModel):
    """Which Dag run an action was done to."""

    dag_id: str = said("The Dag.")
    run_id: str = said("Its run.")


class RunStarted(OfRun):
    """A Dag run was made."""

    dag_paused: bool = said("Whether the Dag is paused in Airflow, for which the run waits.")


class RunCancelled(OfRun):
    """A Dag run was cancelled."""

    cancelled: int = said("How many of its tasks were cancelled.")


class RunPaused(OfRun):
    """A Dag run is paused."""

    paused: bool = said("That it is paused: true.")
    taken_back: int = said("How many of its tasks were to be sent, or waited in the broker, and wait in Airflow now.")


class RunResumed(OfRun):
    """A Dag run goes on."""

    paused: bool = said("That it is paused no more: false.")


class RunRetried(OfRun):
    """What has failed in a Dag run runs again."""

    tasks: int = said("How many of its tasks run again, or would with `dry_run`; each mapped one counts.")
    names: list[str] = said("Their names, each once.")
    dry_run: bool = said("Whether nothing was changed.")


class WorkerOrdered(BaseModel):
    """What a worker was told."""

    name: str = said("The worker.")
    wanted: Literal["drain", "work"] = said("What it is to do.")
