"""Runs in: airflow-init, the controller, `kit`; reads config/limits.yaml and puts what it says in force."""

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from airflow_celery_kit import config_files
from airflow_celery_kit.core.guards import file
from airflow_celery_kit.core.guards.file import GuardsError, parse
from airflow_celery_kit.core.guards.rules import Rules

VARIABLE = "KIT_LIMITS_FILE"
APPLY = "SELECT kit.guards_apply(%s)"


def path_from(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file that this process is told of."""
    return Path(environment[VARIABLE]) if environment.get(VARIABLE) else None


def load(path: Path) -> Rules:
    """Return the rules of a file. Raises ConfigurationError that names the file, and line and column of each mistake and what is wrong there."""
    return config_files.load(path, parse, GuardsError, "put it back, without limits it may be empty")


def unknown_checks(path: Path, known: Collection[str] | None) -> list[str]:
    """Return, a line each, which breakers of a file that can be used go by none of the known health checks; none where `known` is None."""
    if known is None:
        return []
    return [f"config/{path.name}, {one}" for one in file.unknown_checks(path.read_text(encoding="utf-8"), known)]


def apply(rules: Rules, cursor: Any) -> bool:
    """Put rules in force; return whether that changes anything. Raises psycopg2.Error."""
    cursor.execute(APPLY, (json.dumps(rules.rows()),))
    return bool(cursor.fetchone()[0])
