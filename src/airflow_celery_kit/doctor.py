"""Runs in: `kit doctor`; looks at machine, settings and stack, and names cause and cure of what is wrong."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from airflow_celery_kit import check_names, secret_files, status
from airflow_celery_kit.clients import Airflow
from airflow_celery_kit.core.words import count
from airflow_celery_kit.dag_runs import import_errors
from airflow_celery_kit.errors import KitError
from airflow_celery_kit.guards import limits_file
from airflow_celery_kit.machine import GIB, Machine
from airflow_celery_kit.runtimes import docker_engine
from airflow_celery_kit.runtimes.choose import choose
from airflow_celery_kit.settings import Settings


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `text` holds cause and cure where it is not fine."""

    subject: str
    fine: bool
    text: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as `kit doctor --json` shows it."""
        return asdict(self)


def examine(root: Path, runtime: str | None) -> list[Finding]:
    """Look at everything; a stack that is down is not an error here."""
    found = list(_machine(root))
    try:
        settings = Settings.load(root)
    except KitError as problem:
        return [*found, Finding("settings", False, str(problem))]
    return [*found, _engine(runtime), *_settings(settings), *_stack(settings, runtime)]


def _machine(root: Path) -> Iterator[Finding]:
    here = Machine.here(root)
    yield Finding(
        "machine",
        not here.problems(),
        "; ".join(here.problems())
        or f"{here.architecture}, {here.memory / GIB:.1f} GiB of memory and {here.disk / GIB:.1f} GiB of disk free",
    )


def _engine(runtime: str | None) -> Finding:
    reason = docker_engine.why_not()
    return Finding("Docker", runtime != "compose" or not reason, reason or "engine and Compose plugin answer")


def _settings(settings: Settings) -> Iterator[Finding]:
    yield Finding("settings", True, f"{settings.env_file} is complete")
    yield _limits(settings)
    stale = secret_files.stale(settings)
    yield Finding(
        "secrets",
        not stale,
        f"{', '.join(stale)} differ from .env: run 'kit init'" if stale else "secrets/ agrees with .env",
    )


def _limits(settings: Settings) -> Finding:
    path = settings.root / "config" / "limits.yaml"
    try:
        limits_file.load(path)
    except KitError as problem:
        return Finding("limits", False, f"{problem}; until then what was in force stays so")
    if unknown := limits_file.unknown_checks(path, check_names.known(settings)):
        return Finding("limits", False, "\n".join(unknown))
    return Finding("limits", True, "config/limits.yaml can be used")


def _stack(settings: Settings, runtime: str | None) -> Iterator[Finding]:
    try:
        seen = status.collect(settings, choose(settings, runtime))
    except KitError as problem:
        yield Finding("stack", False, str(problem))
        return
    if not seen.services:
        yield Finding("stack", True, "not up; start it with 'kit up'")
        return
    yield from (Finding("stack", False, f"{reason}; {reason.cure}") for reason in seen.reasons)
    if seen.ready:
        yield Finding(
            "stack",
            True,
            f"{seen.runtime}: {count(len(seen.services), 'part')} healthy, {count(len(seen.workers), 'worker')} registered",
        )
        yield _dags(settings)


def _dags(settings: Settings) -> Finding:
    try:
        broken = import_errors(Airflow(settings))
    except KitError as problem:
        return Finding("Dags", False, str(problem))
    told = "; ".join(f"{name} does not import: {why}" for name, why in broken.items())
    return Finding("Dags", not broken, told or "every file imports")
