"""Runs in: a worker's guard and the worker's own processes; whether the guard is ending what the worker runs.

A file beside the one that the worker beats in says so. A task that is killed on its worker's way out did not die of itself.
"""

import contextlib
import os
from pathlib import Path

SUFFIX = ".leaving"


def file() -> Path | None:
    """Return the file, None for a worker that has no guard."""
    named = os.environ.get("KIT_BEAT_FILE")
    return Path(f"{named}{SUFFIX}") if named else None


def begin() -> None:
    """Say that what still runs is being ended. A disk that is full is no reason not to end it."""
    if path := file():
        with contextlib.suppress(OSError):
            path.touch()


def forget() -> None:
    """Say that a worker begins anew."""
    if path := file():
        path.unlink(missing_ok=True)


def has_begun() -> bool:
    """Return whether what still runs is being ended."""
    path = file()
    return bool(path and path.exists())
