"""Runs in: the scheduler; asks for the tasks that a mapped task waits for only where there are any.

Airflow means to, but tests an iterator, which is true when it is empty too: each mapped task instance whose arguments come from no
other task costs a query for nothing. Text of the report: ADR 0016.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any

from airflow_celery_kit import patching

DEFINITIONS = "airflow.serialization.definitions"
WRITTEN_AGAINST = {
    "airflow.ti_deps.deps.mapped_task_upstream_dep": {"MappedTaskUpstreamDep": "61c9b7e0e902"},
    f"{DEFINITIONS}.mappedoperator": {"SerializedMappedOperator.iter_mapped_dependencies": "3767c7189058"},
    f"{DEFINITIONS}.taskgroup": {"SerializedMappedTaskGroup.iter_mapped_dependencies": "7c796b116682"},
}


def listed(iterate: Callable[[Any], Iterable[Any]]) -> Callable[[Any], list[Any]]:
    """Return a method that returns what `iterate` yields as a list, which is false when it is empty."""

    @functools.wraps(iterate)
    def found(self: Any) -> list[Any]:
        return list(iterate(self))

    return found


def install() -> None:
    """Have this process's scheduler ask for nothing where there is nothing."""
    if not patching.fit("asking only for tasks that are waited for", WRITTEN_AGAINST):
        return
    from airflow.serialization.definitions.mappedoperator import SerializedMappedOperator
    from airflow.serialization.definitions.taskgroup import SerializedMappedTaskGroup

    for definition in (SerializedMappedOperator, SerializedMappedTaskGroup):
        definition.iter_mapped_dependencies = listed(definition.iter_mapped_dependencies)
