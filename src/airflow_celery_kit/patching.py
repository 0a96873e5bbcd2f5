"""Runs in: any process of Airflow that the kit changes; tells whether Airflow's code is still what a change was written against."""

import hashlib
import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

log = logging.getLogger(__name__)

Function = Callable[..., Any]


def digest(function: Function) -> str:
    """Return twelve hexadecimal digits that stand for a function's source. Raises OSError where there is no source."""
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:12]


def fits(change: str, against: Mapping[Function, str]) -> bool:
    """Return whether every function is the one that `change` was written against; else say that it is left out, and why."""
    for function, known in against.items():
        try:
            found = digest(function)
        except (OSError, TypeError):
            found = "unknown"
        if found != known:
            log.warning(
                "%s is left out, Airflow's own way stays: %s is another one (%s)", change, function.__qualname__, found
            )
            return False
    return True
