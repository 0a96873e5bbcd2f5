"""Runs in: the embedded runtime; which instances run with other settings than they would be started with now, as Compose knows of its containers."""

import hashlib
import json
from collections.abc import Collection
from pathlib import Path

from airflow_celery_kit.runtimes import services
from airflow_celery_kit.settings import Settings


def note(settings: Settings, instance: str) -> None:
    """Remember what an instance is started with. A disk that is full keeps nothing from starting."""
    try:
        _file(settings, instance).write_text(digest(settings, instance))
    except OSError:
        return


def digest(settings: Settings, instance: str) -> str:
    """Return what stands for an instance's own environment and command line; secrets cannot be read from it."""
    known = [services.environment_of(settings, instance, {}), services.command_of(settings, instance)]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def among(settings: Settings, running: Collection[str]) -> list[str]:
    """Return those that run with other settings; of one that has noted nothing nobody knows."""
    noted = {name: _file(settings, name) for name in running}
    return sorted(name for name, path in noted.items() if path.is_file() and path.read_text() != digest(settings, name))


def _file(settings: Settings, instance: str) -> Path:
    return settings.var / "run" / f"{instance}.settings"
