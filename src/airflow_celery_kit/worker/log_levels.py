"""Runs in: each task's process; has Python's logging empty what it remembers once, not for every level that Airflow sets.

A task's process configures logging anew. Each level that is set empties the memory of every logger (`logging.Manager._clear_cache`):
some eighty times some three hundred loggers, each a page that the fork shared until then. Text of the report: ADR 0016.
"""

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from airflow_celery_kit import patching

WRITTEN_AGAINST = {"_configure_logs_over_json_channel": "6498da8a7e3c"}


@contextmanager
def emptied_once(manager: Any) -> Iterator[None]:
    """Let the loggers of a manager forget at the end what was remembered of their levels, instead of each time one is set."""
    manager._clear_cache = lambda: None
    try:
        yield
    finally:
        del manager._clear_cache
        manager._clear_cache()


def install() -> None:
    """Change how tasks' processes, which are children of this one's, configure logging."""
    from airflow.sdk.execution_time import supervisor

    if not hasattr(logging.Manager, "_clear_cache") or not patching.fits(
        "setting levels of loggers at once", supervisor, WRITTEN_AGAINST
    ):
        return
    stock: Callable[[int], None] = supervisor._configure_logs_over_json_channel

    @functools.wraps(stock)
    def configure(log_fd: int) -> None:
        with emptied_once(logging.root.manager):
            stock(log_fd)

    supervisor._configure_logs_over_json_channel = configure
