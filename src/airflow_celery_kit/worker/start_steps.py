"""Runs in: the guard of each worker, before the worker starts; what must be right, and what is waited for.

A mandatory step that fails refuses the start with one line, because starting again cannot help. The others are retried
for as long as it takes: Celery and Airflow would give up instead, or fail with pages of traceback.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from airflow_celery_kit import service_log
from airflow_celery_kit.probes import broker
from airflow_celery_kit.worker import room

RETRY_SECONDS = 1.0

Environment = Mapping[str, str]


@dataclass(frozen=True)
class Step:
    """One thing a worker needs; `problem` returns what is wrong with it, nothing when it is right."""

    name: str
    problem: Callable[[Environment], str]
    mandatory: bool


def settings_problem(environment: Environment) -> str:
    """Return which setting of the environment is missing."""
    needed = (
        "AIRFLOW__CELERY__BROKER_URL",
        "AIRFLOW__CELERY__RESULT_BACKEND",
        "KIT_BROKER_PASSWORD_FILE",
        "KIT_STOP_GRACE",
    )
    missing = [name for name in needed if not environment.get(name)]
    return f"{', '.join(missing)} not set: start it with 'kit up'" if missing else ""


def password_problem(environment: Environment) -> str:
    """Return why the broker's password cannot be read."""
    path = Path(environment["KIT_BROKER_PASSWORD_FILE"])
    try:
        return "" if path.read_text().strip() else f"{path} is empty: run 'kit init'"
    except OSError as problem:
        return f"{path}: {problem.strerror}: run 'kit init'"


def log_folder_problem(environment: Environment) -> str:
    """Return why tasks could not write their logs."""
    folder = Path(environment.get("AIRFLOW__LOGGING__BASE_LOG_FOLDER", ""))
    return "" if os.access(folder, os.W_OK | os.X_OK) else f"{folder} is no folder that this user can write to"


def broker_problem(_: Environment) -> str:
    """Return why the broker does not let this worker's own login in."""
    try:
        broker.ask_from_environment()
    except OSError as problem:
        return str(problem) or type(problem).__name__
    return ""


STEPS = (
    Step("settings", settings_problem, mandatory=True),
    Step("broker's password", password_problem, mandatory=True),
    Step("folder of task logs", log_folder_problem, mandatory=True),
    Step("room on disk", room.problem, mandatory=False),
    Step("broker", broker_problem, mandatory=False),
)


def take(steps: tuple[Step, ...], environment: Environment, pause: Callable[[float], None] = time.sleep) -> int:
    """Take the steps in order; return 0 once all are right, `os.EX_CONFIG` when a mandatory one is not."""
    for step in steps:
        reason = step.problem(environment)
        if reason and step.mandatory:
            say(f"the worker does not start: {step.name}: {reason}")
            return os.EX_CONFIG
        if reason:
            say(f"the worker waits: {step.name}: {reason}")
            while step.problem(environment):
                pause(RETRY_SECONDS)
            say(f"the worker goes on: {step.name} is there")
    return 0


def say(what: str) -> None:
    """Write one line to the worker's log."""
    service_log.write("guard", what, {}, plain=lambda at: f"{at} [guard] {what}", to=sys.stderr)
