"""Runs in: every process that needs config/routing.yaml; reads it once."""

import os
from collections.abc import Mapping
from pathlib import Path

from airflow_celery_kit.core.routing import Routing, RoutingError
from airflow_celery_kit.core.routing_file import parse
from airflow_celery_kit.errors import ConfigurationError

VARIABLE = "KIT_ROUTING_FILE"


def load(path: Path) -> Routing:
    """Return the rules of a file. Raises ConfigurationError that names the file, the line and what is wrong there."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except RoutingError as problem:
        raise ConfigurationError(f"{path}, {problem}") from problem
    except UnicodeDecodeError as problem:
        raise ConfigurationError(f"{path} is not a text file (UTF-8)") from problem
    except OSError as problem:
        raise ConfigurationError(f"{path}: {problem.strerror}: put it back, without rules it may be empty") from problem


def from_environment(environment: Mapping[str, str] = os.environ) -> Routing:
    """Return the rules of the file that `KIT_ROUTING_FILE` names, none where it names none. Raises ConfigurationError."""
    named = environment.get(VARIABLE)
    return load(Path(named)) if named else Routing()
