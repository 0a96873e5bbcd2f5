"""Runs in: task processes; what of a task's own values can be kept, and how much of it."""

import json
from typing import Any

MOST_CHARACTERS = 65_536
# As JSON writes it.
NUL = "\\u0000"


def size_of(value: Any, what: str) -> int:
    """Return how many characters of JSON a value has. Raises ValueError, in the name of `what`, for what is no JSON, or too much of it."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        # Half of a pair of characters is none.
        text.encode()
    except (TypeError, ValueError) as problem:
        raise ValueError(f"{what} takes what JSON can hold: {problem}") from problem
    if NUL in text:
        raise ValueError(f"{what} takes no character NUL: PostgreSQL keeps none")
    if (size := len(text)) > MOST_CHARACTERS:
        raise ValueError(
            f"{what} takes {MOST_CHARACTERS} characters of JSON at most, not {size}: store the rest and name where"
        )
    return size
