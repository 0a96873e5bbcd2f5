"""Runs in: airflow-init, the controller, `kit`; reads config/limits.yaml and puts what it says in force."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_celery_kit import config_files
from airflow_celery_kit.core.guards.file import GuardsError, parse
from airflow_celery_kit.core.guards.rules import Rules

VARIABLE = "KIT_LIMITS_FILE"
APPLY = "SELECT kit.guards_apply(%s)"


def path_from(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file that this process is told of."""
    return Path(environment[VARIABLE]) if environment.get(VARIABLE) else None


def load(path: Path) -> Rules:
    """Return the rules of a file. Raises ConfigurationError that names file, line and column, and what is wrong there."""
    return config_files.load(path, parse, GuardsError, "put it back, without limits it may be empty")


def apply(rules: Rules, cursor: Any) -> bool:
    """Put rules in force; return whether that changes anything. Raises psycopg2.Error."""
    cursor.execute(APPLY, (json.dumps(rules.rows()),))
    return bool(cursor.fetchone()[0])
