"""Runs in: the command line; one command at a time may change a stack."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from airflow_celery_kit.errors import KitError


@contextlib.contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Hold the lock of the checkout's folder, which the kernel drops when the process ends, however it ends.

    Raises KitError when another command holds it.
    """
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(folder)
        yield
    finally:
        os.close(folder)


def _lock(folder: int) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as problem:
        raise KitError(
            "another kit command is changing this stack: wait until it is done, then call again"
        ) from problem
