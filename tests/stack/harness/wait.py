"""Runs in: stack tests; waiting with a deadline that explains itself."""

import time
from collections.abc import Callable
from typing import TypeVar

from tests.slack import PATIENCE

T = TypeVar("T")


def wait_for(what: str, look: Callable[[], T | None], seconds: float, explain: Callable[[], object] = lambda: "") -> T:
    """Return what `look` gives as soon as it is truthy.

    Raises AssertionError after `seconds` times PATIENCE, with what was awaited, the last look and the words of `explain`.
    """
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        begun = time.monotonic()
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds * PATIENCE:.0f} s for {what}; last look: {seen!r}; {explain()}")
        # What takes long to look at leaves twice the time to what it looks at.
        time.sleep(max(0.3, 2 * (time.monotonic() - begun)))
