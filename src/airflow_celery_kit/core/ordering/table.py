"""Runs in: airflow-controller and airflow-init; the policies by name. Those of the user's own are imported by module and class."""

from importlib import import_module

from airflow_celery_kit.core.ordering.aging import Aging
from airflow_celery_kit.core.ordering.classes import Classes
from airflow_celery_kit.core.ordering.deadline import Deadline
from airflow_celery_kit.core.ordering.durations import FastAndHeavy
from airflow_celery_kit.core.ordering.policy import Policy
from airflow_celery_kit.core.ordering.saturation import Saturation

POLICIES: dict[str, type[Policy]] = {
    "aging": Aging, "class": Classes, "deadline": Deadline, "fast-and-heavy": FastAndHeavy, "saturation": Saturation,
}  # fmt: skip
# Weighed once, when a task instance is created.
STATIC = ("airflow", "finish-first")


def policy(name: str) -> Policy | None:
    """Return a policy by its name, None for one that weighs nothing again.

    Raises ImportError or TypeError for one that is none, and whatever its module raises.
    """
    if name in STATIC:
        return None
    found = POLICIES.get(name) or _own(name)
    return found()


def _own(name: str) -> type[Policy]:
    module, _, attribute = name.rpartition(".")
    found = getattr(import_module(module), attribute, None) if module else None
    if found is None:
        raise ImportError(f"priority policy {name!r}: there is no such class")
    if not (isinstance(found, type) and issubclass(found, Policy)):
        raise TypeError(f"priority policy {name!r} is no subclass of {Policy.__module__}.Policy")
    return found
