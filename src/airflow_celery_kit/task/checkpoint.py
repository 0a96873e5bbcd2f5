"""Runs in: task processes, imported by Dags; how far a task has come, kept where its next attempt finds it, on whatever worker.

Airflow's own store of task state holds it (`context["task_state_store"]`, Airflow 3.3): in the metadata database, reached through the
api-server, so it outlives the process, the worker and the machine. When the task has succeeded it is dropped
(`AIRFLOW__STATE_STORE__CLEAR_ON_SUCCESS`), so that a run that is repeated begins at the beginning.
"""

from typing import Any

from airflow_celery_kit.core.journal.events import Kind
from airflow_celery_kit.task import context
from airflow_celery_kit.task.limits import size_of

KEY = "kit:checkpoint"


class Checkpoint:
    """What a task has done so far; anything that JSON can hold."""

    def save(self, state: Any) -> None:
        """Keep `state`; it is safe when this returns. Raises ValueError for what is no JSON, or more than 64 KiB of it.

        Outside of a running task nothing is kept.
        """
        size = size_of(state, "a checkpoint")
        if (store := context.store()) is not None:
            store.set(KEY, {"state": state})
            context.say(Kind.CHECKPOINT, {"size": size})

    def load(self, default: Any = None) -> Any:
        """Return what an attempt before this one, or this one, has saved last; `default` where nothing was."""
        store = context.store()
        found = store.get(KEY) if store is not None else None
        return found["state"] if found else default

    def clear(self) -> None:
        """Begin anew."""
        if (store := context.store()) is not None:
            store.delete(KEY)


checkpoint = Checkpoint()
