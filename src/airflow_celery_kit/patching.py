"""Runs in: any process of Airflow that the kit changes; tells whether Airflow's code is still what a change was written against."""

import hashlib
import importlib
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any

log = logging.getLogger(__name__)


def digest(function: Callable[..., Any]) -> str:
    """Return twelve hexadecimal digits that stand for the source of a function or class. Raises OSError where there is none."""
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:12]


def fits(change: str, owner: Any, against: Mapping[str, str]) -> bool:
    """Return whether every function of `owner` named in `against` (also `Class.method`) is the one that `change` was written against.

    Says once which one is not, or is not there: then the change is left out.
    """
    for name, known in against.items():
        try:
            found = digest(attrgetter(name)(owner))
        except (AttributeError, OSError, TypeError):
            found = "unknown"
        if found != known:
            log.warning("%s is left out, Airflow's own way stays: %s is another one (%s)", change, name, found)
            return False
    return True


def fit(change: str, against: Mapping[str, Mapping[str, str]]) -> bool:
    """Return what `fits` does, for several modules by their names. Raises ImportError for one that is not there."""
    return all(fits(change, importlib.import_module(name), known) for name, known in against.items())


def attempt(changes: Iterable[Callable[[], None]]) -> None:
    """Make every change; one that fails is left out with a warning, whatever became of Airflow."""
    for change in changes:
        try:
            change()
        except Exception as problem:
            name = getattr(change, "__module__", None) or getattr(change, "func", change).__module__
            log.warning("%s is left out, Airflow's own way stays: %s", name, problem)
