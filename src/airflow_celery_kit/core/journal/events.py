"""Runs in: scheduler, workers and task processes, which write events; pure: what an event is, as one line of JSON.

An event is kept as it is for ever; what is known of a task is derived from its events. `journal/migrations` says what becomes of each.
"""

import json
import uuid
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Source(StrEnum):
    """Who says it: Airflow's database, the publisher, a worker, the task's own code, the controller, an operator."""

    AIRFLOW = "airflow"
    SCHEDULER = "scheduler"
    WORKER = "worker"
    CODE = "code"
    CONTROLLER = "controller"
    OPERATOR = "operator"


class Kind(StrEnum):
    """What happened, apart from Airflow's own words for states (`core/journal/statuses.py`)."""

    PUBLISHED = "published"
    RECEIVED = "received"
    REDELIVERED = "redelivered"
    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "broke"
    REVOKED = "revoked"
    TIMED_OUT = "timed_out"
    LOST = "lost"
    INPUT = "input"
    PROGRESS = "progress"
    CHECKPOINT = "checkpoint"
    BUSINESS_RESULT = "business_result"
    NO_DATA = "no_data"
    ERROR = "error"
    TRIED_AGAIN = "tried_again"
    LEFT_OUT = "left_out"
    POISONOUS = "poisonous"
    DEDUPLICATED = "deduplicated"
    METRIC = "metric"
    GAP = "gap"


@dataclass(frozen=True)
class Subject:
    """Which attempt of a task: Airflow's id of it, its names, the id of its message. What is not known is left out."""

    task: str | None = None
    dag_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    map_index: int | None = None
    attempt: int | None = None
    message: str | None = None


@dataclass(frozen=True)
class Event:
    """One thing that happened at `at`, in seconds since 1970, to a subject; `facts` is whatever JSON belongs to its kind."""

    kind: str
    source: Source
    at: float
    subject: Subject = Subject()
    worker: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def line(self) -> str:
        """Return the event as one line of JSON without what is not known. Raises TypeError for facts that are no JSON."""
        known = {"id": self.id, "at": self.at, "kind": self.kind, "source": self.source, "worker": self.worker}
        found = known | asdict(self.subject) | {"facts": self.facts or None}
        return json.dumps({name: value for name, value in found.items() if value is not None})
