"""Runs in: the command line; makes and changes `.env` without touching what it does not mean."""

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from airflow_celery_kit.settings import Settings

# Owner alone: the file holds every secret of the stack.
MODE = 0o600


def record(settings: Settings, changes: Mapping[str, str]) -> Settings:
    """Replace the values of the named knobs in `.env` and its copy, and return the settings as they are then.

    Comments, order and all other lines stay.
    """
    for path in (settings.env_file, settings.secrets / "env"):
        if path.is_file():
            write(path, changed(path.read_text(), changes))
    return Settings.load(settings.root)


def changed(text: str, changes: Mapping[str, str]) -> str:
    """Return the text of an `.env` file with the named knobs' lines replaced, or added where there are none."""
    for name, value in changes.items():
        text, found = re.subn(rf"(?m)^{name}=.*$", lambda _, new=f"{name}={value}": new, text)
        if not found:
            text = text.rstrip("\n") + f"\n{name}={value}\n"
    return text


def write(path: Path, text: str) -> None:
    """Write `path` in one step, readable by its owner alone: a full disk or a crash leaves the old file whole.

    A symbolic link stays one; what it leads to is written.
    """
    path = path.resolve()
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".env.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, MODE)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
