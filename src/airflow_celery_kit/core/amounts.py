"""Runs in: every process that reads a file of rules; pure: whole numbers with a unit, such as `30m`, `200/m` or `20GB`."""

import re
from collections.abc import Iterable
from reprlib import repr as brief
from typing import Any


def amount(text: Any, units: Iterable[str], digits: int, otherwise: str, between: str = "") -> tuple[int, str]:
    """Return number and unit of a text; `between` stands between them.

    Raises ValueError: for what is none with `otherwise`, for a number of more than `digits` with the most that may stand there.
    """
    found = re.fullmatch(f"([1-9][0-9]*){between}({'|'.join(units)})", str(text))
    if not found:
        raise ValueError(f"{brief(text)} {otherwise}")
    number, unit = found.groups()
    if len(number) > digits:
        raise ValueError(f"{brief(text)} is too much: write {'9' * digits}{between}{unit} or less")
    return int(number), unit
