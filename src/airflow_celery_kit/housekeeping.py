"""Runs in: every process that needs config/housekeeping.yaml; reads it, and again when it has changed."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from airflow_celery_kit import config_files
from airflow_celery_kit.core.housekeeping import Limits, LimitsError, parse
from airflow_celery_kit.errors import ConfigurationError

VARIABLE = "KIT_HOUSEKEEPING_FILE"
# What was done stands in this row of the table `kit.seen`; each of the two parts writes its own key of it.
SEEN = "housekeeping"


def load(path: Path) -> Limits:
    """Return the limits of a file, the defaults where there is none. Raises ConfigurationError that names file, line and cure."""
    try:
        return config_files.load(path, parse, LimitsError, "let the services read it")
    except ConfigurationError as problem:
        if isinstance(problem.__cause__, FileNotFoundError):
            return Limits()
        raise


def from_environment(environment: Mapping[str, str] = os.environ) -> Limits:
    """Return the limits of the file that `KIT_HOUSEKEEPING_FILE` names, the defaults where it names none. Raises ConfigurationError."""
    named = environment.get(VARIABLE)
    return load(Path(named)) if named else Limits()


@dataclass
class Watched:
    """The file as it is read again and again; while it is wrong the limits of before stay in force, None where there were none."""

    path: Path | None
    limits: Limits | None = None
    problem: str = ""
    seen: tuple[int, int] | None = None

    def read(self) -> bool:
        """Read the file where it is another one than last time; return whether it was."""
        stamp = self._stamp()
        if self.seen == stamp:
            return False
        self.seen, self.problem = stamp, ""
        try:
            self.limits = load(self.path) if self.path else Limits()
        except ConfigurationError as problem:
            self.problem = str(problem)
        return True

    def _stamp(self) -> tuple[int, int]:
        try:
            found = self.path.stat() if self.path else None
        except OSError:
            found = None
        return (found.st_mtime_ns, found.st_size) if found else (0, 0)
