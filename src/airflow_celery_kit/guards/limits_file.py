"""Runs in: airflow-init, the controller, `kit`; reads config/limits.yaml and puts what it says in force."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_celery_kit.core.guards.file import GuardsError, parse
from airflow_celery_kit.core.guards.rules import Rules
from airflow_celery_kit.errors import ConfigurationError

VARIABLE = "KIT_LIMITS_FILE"
APPLY = "SELECT kit.guards_apply(%s)"


def path_from(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file that this process is told of."""
    return Path(environment[VARIABLE]) if environment.get(VARIABLE) else None


def load(path: Path) -> Rules:
    """Return the rules of a file. Raises ConfigurationError that names file, line and column, and what is wrong there."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except GuardsError as problem:
        raise ConfigurationError(f"{path}, {problem}") from problem
    except UnicodeDecodeError as problem:
        raise ConfigurationError(f"{path} is not a text file (UTF-8): save it as one") from problem
    except OSError as problem:
        raise ConfigurationError(
            f"{path}: {problem.strerror}: put it back, without limits it may be empty"
        ) from problem


def apply(rules: Rules, cursor: Any) -> bool:
    """Put rules in force; return whether that changes anything. Raises psycopg2.Error."""
    cursor.execute(APPLY, (json.dumps(rules.rows()),))
    return bool(cursor.fetchone()[0])
