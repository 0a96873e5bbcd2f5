"""Runs in: airflow-apiserver; what is on record of attempts of tasks. The fields of a record are the columns of `journal.task`."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from airflow_celery_kit.api.answers.fields import said, when
from airflow_celery_kit.core.journal.events import Source
from airflow_celery_kit.core.journal.statuses import Status


class Progress(BaseModel):
    """How far a task's code said that it is."""

    done: float = said("How much is done, in the code's own unit.")
    total: float | None = said("How much there is to do, in that unit; null where the code does not know.")
    note: str = said("A few words of the code's, up to 500 characters; may be empty.")


class Attempt(BaseModel):
    """What is on record of one attempt of a task. Null is what nobody has said so far."""

    id: UUID = said("Airflow's id of this attempt; each attempt has another.")
    dag_id: str = said("Its Dag.")
    run_id: str | None = said("Its Dag run.")
    task_id: str | None = said("Its task.")
    map_index: int | None = said("Its place among mapped tasks, from 0; -1 where it is none.")
    attempt: int | None = said("Which try this is, from 1.")
    message: str | None = said("Celery's id of its message.")
    queue: str | None = said("Its queue.")
    pool: str | None = said("Its pool.")
    priority: int | None = said("Its priority weight.")
    operator: str | None = said("Its operator.")
    worker: str | None = said("Where it ran, or was taken.")
    state: str | None = said("Airflow's last word; `replaced` once another attempt followed one that had not ended.")
    status: Status = said("Where it stands.")
    created_at: datetime = when("When it was asked for")
    due_at: datetime | None = when("When all that it waits for was done")
    queued_at: datetime | None = when("When Airflow decided to send it")
    published_at: datetime | None = when("When its message was in the broker")
    received_at: datetime | None = when("When a worker took it")
    started_at: datetime | None = when("When Airflow let it run")
    completed_at: datetime | None = when("When it ended")
    lost_at: datetime | None = when("When the process that ran it was lost")
    changed_at: datetime = when("When it was last heard of")
    timed_out: bool = said("Whether its own time limit ended it.")
    cancelled: bool = said("Whether an operator ended it.")
    no_data: bool = said("Whether its code said that there was nothing to do.")
    instead_of: UUID | None = said("The attempt before.")
    replaced_by: UUID | None = said("The attempt after.")
    progress: Progress | None = said("How far its code said that it is.")
    progress_at: datetime | None = when("When it said so")
    result: dict[str, Any] | None = said("What its code said that it made, in names of its own.")
    error: str | None = said("Its error; of one that its code raised the class alone for who may not read *Task Logs*.")
    events: int = said("How many events are on record.")
    impossible: int = said("How many of Airflow's words could not follow the one before.")


class Input(BaseModel):
    """What a task was given."""

    fields: dict[str, Any] = said("The operator's fields by name, as Airflow shows them, secrets masked.")
    hash: str = said("The SHA-256 of these, in hexadecimal.")


class Hop(BaseModel):
    """One part of an attempt's way."""

    hop: str = said("What it did.")
    until: str = said("The field with the time at which that ended.")
    seconds: float = said("How long it took, in seconds.")


class AttemptRecord(Attempt):
    """The whole record of one attempt: what lists have, and what is too large for them."""

    input: Input | None = said("What it was given.")
    trace: str | None = said("Its stack trace; null for who may not read *Task Logs*.")
    hops: list[Hop] = said("How long each hop took, in order; times that are not known are passed over.")


class Event(BaseModel):
    """One thing that happened to an attempt, as it was written."""

    id: UUID = said("The event's own id.")
    at: datetime = when("When it happened")
    kind: str = said("What happened: one of Airflow's words for states, or one of the kit's.")
    source: Source = said("Who says it.")
    worker: str | None = said("On which worker; null where that is not known.")
    message: str | None = said("Celery's id of the message; null where that is not known.")
    facts: dict[str, Any] = said("Whatever belongs to its kind.")


class Attempts(BaseModel):
    """A page of attempts, newest first."""

    tasks: list[Attempt] = said("The attempts.")
    next: str | None = said("The cursor of the next page, null on the last one.")


class Events(BaseModel):
    """What is on record of an attempt."""

    events: list[Event] = said("The events in order, 2000 at most.")
