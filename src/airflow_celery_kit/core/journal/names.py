"""Runs in: airflow-apiserver and the command line; how an attempt of a task is called. Pure."""

from collections.abc import Mapping
from typing import Any


def short_name(task: Mapping[str, Any]) -> str:
    """Return the task of a record of `journal.task`; a mapped one has its index, from 0."""
    index = task["map_index"]
    return f"{task['task_id']}[{index}]" if index is not None and index >= 0 else str(task["task_id"])


def name_of(task: Mapping[str, Any]) -> str:
    """Return it with its Dag and its run before it, as `dag/run/task`."""
    return f"{task['dag_id']}/{task['run_id']}/{short_name(task)}"
