"""Runs in: the command line; which runtime a command means."""

from airflow_celery_kit.runtimes import docker_engine
from airflow_celery_kit.runtimes.base import Runtime
from airflow_celery_kit.runtimes.compose import Compose, has_data
from airflow_celery_kit.runtimes.embedded import Embedded
from airflow_celery_kit.runtimes.servers import Servers
from airflow_celery_kit.settings import Settings

RUNTIMES = {"compose": Compose, "embedded": Embedded}


def preflight(wanted: str | None) -> None:
    """Raise MachineError for a wanted runtime that cannot be had here, before anything is changed."""
    if wanted == "compose":
        docker_engine.require()


def choose(settings: Settings, wanted: str | None = None) -> Runtime:
    """Return the wanted runtime; else the one that runs; else the one that has data.

    Where neither has any it is Compose if an engine answers, so nothing switches silently over existing data.
    """
    if wanted:
        preflight(wanted)
        return RUNTIMES[wanted](settings)
    embedded = Embedded(settings)
    if embedded.supervision.alive or not docker_engine.answers():
        return embedded
    only_embedded_has_data = Servers.of(settings).has_data and not has_data(settings.project)
    return embedded if only_embedded_has_data else Compose(settings)
