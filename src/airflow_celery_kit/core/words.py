"""Runs in: every process; pure: numbers of things and what is not there, as people say them."""

from collections.abc import Iterable
from difflib import get_close_matches

MOST = 20


def count(number: int, one: str) -> str:
    """Return how many there are of something: `1 task`, `3 tasks`."""
    return f"{number} {one}" + ("" if number == 1 else "s")


def missing(kind: str, name: str, known: Iterable[str], cure: str) -> str:
    """Return in a sentence that there is no such thing, the nearest name and which there are; the cure where there is none at all."""
    names = sorted(known)
    if not names:
        return f"there is no {kind} {name}, and no other one: {cure}"
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    said = f"{'the only one is' if len(names) == 1 else 'there are'} {', '.join(names[:MOST])}{more}"
    near = get_close_matches(name, names, 1)
    return f"there is no {kind} {name}: " + (f"did you mean {near[0]}? T{said[1:]}" if near else said)
