"""Runs in: stack tests; a fresh copy of the checkout, as a new user's clone would be."""

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
UP_SECONDS = 900
# What a developer's shell may hold and a new user's does not.
FOREIGN = (
    "RUNTIME",
    "COMPOSE_PROJECT_NAME",
    "KIT_ROOT",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "PYTHONDONTWRITEBYTECODE",
    "WORKERS",
    "MAKEFLAGS",
    "MAKELEVEL",
    "PYTEST_CURRENT_TEST",
    "PYTEST_XDIST_WORKER",
    "PYTEST_XDIST_WORKER_COUNT",
    "PYTEST_XDIST_TESTRUNUID",
)


def files() -> list[str]:
    """Return the files a clone would have, and those not committed yet."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def copy_checkout(target: Path) -> Path:
    """Copy the checkout's files to `target`: no .venv, no .env, no data."""
    for name in files():
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, destination)
    return target


def clean_environment() -> dict[str, str]:
    """Return the environment of a shell that knows nothing of a stack, of somebody who waits for slow machines."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    kept["KIT_UP_TIMEOUT"] = str(UP_SECONDS - 100)
    kept["PATH"] = ":".join(part for part in kept["PATH"].split(":") if not part.startswith(str(ROOT)))
    return kept


@contextlib.contextmanager
def one_start_at_a_time() -> Iterator[None]:
    """Let no two tests of this checkout start a stack at once: on few cores each would take as long as both, and be given up."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
