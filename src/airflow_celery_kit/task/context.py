"""Runs in: task processes; the running task, as its own code finds it."""

from collections.abc import Mapping
from typing import Any

from airflow_celery_kit.core.journal.events import Kind, Source, Subject
from airflow_celery_kit.journal.teller import teller


def running() -> Mapping[str, Any] | None:
    """Return Airflow's context of the task that runs in this process, None where none does."""
    from airflow.sdk import get_current_context

    try:
        found: Mapping[str, Any] = get_current_context()
    except RuntimeError:
        return None
    return found


def store() -> Any:
    """Return Airflow's store of this task's own state, which its next attempt finds too; None where no task runs."""
    context = running()
    return context["task_state_store"] if context else None


def subject() -> Subject | None:
    """Return which attempt of which task runs in this process, None where none does."""
    context = running()
    if context is None:
        return None
    ti = context["ti"]
    return Subject(str(ti.id), ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.try_number)


def say(kind: Kind, facts: dict[str, Any], who: Subject | None = None) -> None:
    """Leave an event of the running task, or of `who`, in the journal, secrets masked; nothing where no task runs or no journal is kept."""
    voice = teller(Source.CODE)
    if voice.spool is None or (who := who or subject()) is None:
        return
    from airflow.sdk.log import redact

    shown: Any = redact(facts)
    voice.tell(kind, who, shown)
