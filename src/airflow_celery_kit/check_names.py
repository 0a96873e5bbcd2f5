"""Runs in: the command line; which health checks there are, so that a breaker by one that nobody makes is told."""

from importlib.metadata import entry_points

import httpx

from airflow_celery_kit.clients import QUEUES_SECONDS, Airflow
from airflow_celery_kit.errors import KitError
from airflow_celery_kit.settings import Settings


def known(settings: Settings) -> list[str] | None:
    """Return the names of all health checks: those of the leading controller, where no stack runs the kit's own.

    None where nobody can say: checks of the user's own have their names from code that only a controller loads.
    """
    from airflow_celery_kit.health.table import BUILT_IN, GROUP

    try:
        said: list[str] | None = Airflow(settings, QUEUES_SECONDS).kit("/limits")["checks"]
    except (KitError, httpx.HTTPError, ValueError, KeyError):
        said = None
    if said is not None or settings["HEALTH_CHECKS"] or entry_points(group=GROUP):
        return said
    return [kind.name for kind in BUILT_IN]
