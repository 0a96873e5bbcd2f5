"""Runs in: airflow-controller; all checks. Those of the user's own are named by `KIT_HEALTH_CHECKS` or come as entry points."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from airflow_celery_kit.health.agreement import Secrets, Versions
from airflow_celery_kit.health.canary import Canary
from airflow_celery_kit.health.check import Check
from airflow_celery_kit.health.clock import Clock
from airflow_celery_kit.health.controller import Controller
from airflow_celery_kit.health.database import Journal, Metadata, Results
from airflow_celery_kit.health.deaths import Deaths
from airflow_celery_kit.health.endpoint import Endpoint
from airflow_celery_kit.health.jobs import DagProcessor, Scheduler, Triggerer
from airflow_celery_kit.health.memory import Memory
from airflow_celery_kit.health.reachable import Reachable
from airflow_celery_kit.health.services import ApiServer, Flower
from airflow_celery_kit.health.valkey import Valkey
from airflow_celery_kit.health.workers import Workers

GROUP = "airflow_celery_kit.health"
VARIABLE = "KIT_HEALTH_CHECKS"
# What the stack itself stands on, in the order in which one thing rests on another.
BUILT_IN: tuple[type[Check], ...] = (
    Metadata,
    Results,
    Journal,
    Valkey,
    Scheduler,
    DagProcessor,
    Triggerer,
    ApiServer,
    Flower,
    Controller,
    Workers,
    Canary,
    Deaths,
    Clock,
    Secrets,
    Versions,
)
# What tasks stand on: made with a name and where it is.
FOR_TASKS: tuple[type[Check], ...] = (Endpoint, Reachable, Memory)


def built_in(environment: Mapping[str, str]) -> list[Check]:
    """Return the checks that a deployment has what it takes for."""
    left_out = {
        Journal: "KIT_JOURNAL_CONN",
        Deaths: "KIT_JOURNAL_CONN",
        ApiServer: "KIT_APISERVER_URL",
        Flower: "KIT_FLOWER_URL",
    }
    return [kind() for kind in BUILT_IN if kind not in left_out or environment.get(left_out[kind])]


def own(environment: Mapping[str, str]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the user's own by name, each with what loads it: a check, its class, or a list of them."""
    for name in filter(None, (one.strip() for one in environment.get(VARIABLE, "").split(","))):
        yield name, partial(named, name)
    yield from ((point.name, point.load) for point in entry_points(group=GROUP))


def named(name: str) -> Any:
    """Return what a dotted name stands for. Raises what its module raises, or AttributeError."""
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


def checks_of(found: Any) -> list[Check]:
    """Return the checks that a user's name stands for. Raises TypeError for what is none."""
    if isinstance(found, list | tuple):
        return [one for each in found for one in checks_of(each)]
    made = found() if isinstance(found, type) and issubclass(found, Check) else found
    if not (isinstance(made, Check) and made.name):
        raise TypeError(f"{made!r} is no check with a name: it derives from {Check.__module__}.Check")
    return [made]
