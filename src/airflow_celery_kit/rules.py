"""Runs in: every process that needs config/routing.yaml; reads it once."""

import os
from collections.abc import Mapping
from pathlib import Path

from airflow_celery_kit import config_files
from airflow_celery_kit.core.routing import Routing, RoutingError
from airflow_celery_kit.core.routing_file import parse

VARIABLE = "KIT_ROUTING_FILE"


def load(path: Path) -> Routing:
    """Return the rules of a file. Raises ConfigurationError that names the file, the line and what is wrong there."""
    return config_files.load(path, parse, RoutingError, "put it back, without rules it may be empty")


def from_environment(environment: Mapping[str, str] = os.environ) -> Routing:
    """Return the rules of the file that `KIT_ROUTING_FILE` names, none where it names none. Raises ConfigurationError."""
    named = environment.get(VARIABLE)
    return load(Path(named)) if named else Routing()
