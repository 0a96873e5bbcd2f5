"""Runs in: airflow-apiserver; what the leading controller saw of queues and workers at its last look (`controller/queues.py`)."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel

from airflow_celery_kit.api.answers.fields import said, when
from airflow_celery_kit.controller.seen import STALE_SECONDS


class Look(BaseModel):
    """How old the controller's last look is; the other times are as of that look."""

    at: datetime | None = when("When the controller looked last, null when it never did")
    age_seconds: float | None = said("How old that look is, in seconds; null where there is none.")
    stale: bool = said(f"Whether there is no look, or it is older than {STALE_SECONDS:.0f} s.")
    reason: str = said("The sentence that says why it is stale, empty otherwise.")


class Step(BaseModel):
    """One priority step of a queue in which messages wait."""

    step: int = said("Its number: 0 is taken first, 9 last.")
    waiting: int = said("How many messages wait in it.")
    oldest_seconds: float | None = said(
        "For how many seconds the oldest of its first and last thousand messages waits; null where none says it."
    )


class Queue(BaseModel):
    """What waits for one queue, and for how many slots."""

    queue: str = said("Its name.")
    scheduled: int = said(
        "How many tasks are due for it and wait in Airflow: for a slot of their pool, or below a limit of their Dag."
    )
    scheduled_oldest_seconds: float | None = said(
        "For how many seconds the first of these has been due; null where none is."
    )
    waiting: int = said("How many messages wait in the broker.")
    oldest_seconds: float | None = said(
        "For how many seconds the oldest message waits, of the first and last thousand of each step; null where none does or says it."
    )
    slots: int | None = said(
        "How many slots of live workers take its tasks; a worker of several queues counts in each. Null while a worker does not say."
    )
    steps: list[Step] = said("The priority steps in which messages wait.")


class LiveWorker(BaseModel):
    """A worker as it reported last."""

    name: str = said("Its name.")
    held: int = said("How many messages are in its hands: running, and taken ahead.")
    slots: int | None = said("How many tasks it runs at a time; null while it does not say.")
    queues: list[str] = said("The queues that it serves.")
    drained: bool = said("Whether it was told to take no task, and heeds it.")
    busy: float | None = said("The share of the CPU it may use that is in use, 0 to 1; null while it does not say.")
    memory_bytes: int | None = said(
        "Resident memory of all its processes, in bytes; what they share counts in each. Null while it does not say."
    )
    host: str | None = said("The machine or container that it runs on; null while it does not say.")
    since: float | None = said("Since when it runs, in seconds since 1970; null while it does not say.")


class Queues(Look):
    """What waits."""

    queues: list[Queue] = said("Every queue to which a task was ever sent, or which a live worker serves; by name.")
    workers: list[LiveWorker] = said("Every live worker.")
    delivered: int | None = said("How many messages workers have taken and not acknowledged; null without a look.")


class WorkerState(StrEnum):
    """What a worker does: `asked` until it heeds the order to take no task, `draining` while it holds some."""

    WORKING = "working"
    ASKED = "asked"
    DRAINING = "draining"
    DRAINED = "drained"
    RESUMING = "resuming"
    AWAY = "away"


class Worker(BaseModel):
    """A worker, what it is to do, and whether it does. Null is what is not known of one that is away, or does not say it."""

    name: str = said("Its name.")
    state: WorkerState = said("What it does, by its last report and by what it is to do.")
    queues: list[str] | None = said("The queues that it serves.")
    slots: int | None = said("How many tasks it runs at a time.")
    held: int | None = said("How many messages are in its hands: running, and taken ahead.")
    busy: float | None = said("The share of the CPU it may use that is in use, 0 to 1.")
    memory_bytes: int | None = said(
        "Resident memory of all its processes, in bytes; what they share counts in each. Null while it does not say."
    )
    host: str | None = said("The machine or container that it runs on.")
    since: float | None = said("Since when it runs, in seconds since 1970.")
    asked_by: str | None = said("Who gave the last order; null where nobody ever did.")
    asked_at: datetime | None = when("When that was, null where nobody ever did")


class Workers(Look):
    """Who is there, and who is to take no task."""

    workers: list[Worker] = said("Every live worker, and those that are away while they are to take no task; by name.")
