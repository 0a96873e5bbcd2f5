"""Runs in: your shell; what people see of a change to many attempts at once: before it is made, and after."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any


def outcome(found: dict[str, Any], verb: str) -> Iterator[str]:
    """Yield how many were changed, and a line for each that was not."""
    yield f"{found['changed']} of {found['count']} {'is' if found['changed'] == 1 else 'are'} {verb}"
    yield from (f"{id}: {why}" for id, why in found["left_out"].items())


def preview(found: dict[str, Any], verb: str) -> Iterator[str]:
    """Yield what would be changed, a task a line below its run, and how to do it."""
    yield f"{found['count']} would be {verb}" + (":" if found["count"] else "")
    for run, names in groupby(found["some"], key=lambda name: name.rpartition("/")[0]):
        yield from (run, *(f"  {name.rpartition('/')[2]}" for name in names))
    if (more := found["count"] - len(found["some"])) > 0:
        yield f"and {more} more"
    if found["count"]:
        yield f"To do it add --count {found['count']}"
