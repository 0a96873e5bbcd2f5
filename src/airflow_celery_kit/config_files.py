"""Runs in: every process that reads a file of config/; what is wrong with it is one line with the file's name and the cure."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from airflow_celery_kit.errors import ConfigurationError

T = TypeVar("T")


def load(path: Path, parse: Callable[[str], T], wrong: type[Exception], unreadable: str) -> T:
    """Return what `parse` makes of a file's text.

    Raises ConfigurationError for text that `parse` refuses with `wrong`, that is no text, and, with the cure `unreadable`, for a file
    that cannot be read.
    """
    try:
        return parse(path.read_text(encoding="utf-8"))
    except wrong as problem:
        raise ConfigurationError(f"{path}, {problem}") from problem
    except UnicodeDecodeError as problem:
        raise ConfigurationError(f"{path} is not a text file (UTF-8): save it as one") from problem
    except OSError as problem:
        raise ConfigurationError(f"{path}: {problem.strerror}: {unreadable}") from problem
