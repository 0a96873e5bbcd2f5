"""Runs in: every process that reads a file of rules; pure: where in a YAML file something stands."""

from collections.abc import Iterable, Iterator
from typing import Any

import yaml

# Mistakes of one file that are told.
MOST = 10


def mark(node: Any, place: Iterable[Any]) -> tuple[int, int]:
    """Return line and column, counted from 1, of the deepest part of `place` that is there."""
    found = node.start_mark if node else None
    for step in place:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            found = node.start_mark
        elif isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == str(step)), None)
            if pair is None:
                break
            found, node = pair[0].start_mark, pair[1]
    return (found.line + 1, found.column + 1) if found else (1, 1)


def twice(node: Any, seen_nodes: set[int] | None = None) -> Iterator[Any]:
    """Yield each key of a mapping that stands there already. Raises RecursionError."""
    # A part that has a name may stand in several places, and within itself.
    known = set() if seen_nodes is None else seen_nodes
    if id(node) in known:
        return
    known.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for one in node.value:
            yield from twice(one, known)
    if not isinstance(node, yaml.MappingNode):
        return
    seen = set()
    for key, value in node.value:
        if key.value in seen:
            yield key
        seen.add(key.value)
        yield from twice(value, known)


def told(mistakes: Iterable[tuple[tuple[int, int], str]]) -> str:
    """Return mistakes, each with its place in the file, by place: one as it is, several in a line each, MOST at most."""
    each = [what for _, what in sorted(set(mistakes))]
    if len(each) == 1:
        return each[0]
    more = [f"and {len(each) - MOST} more"] if len(each) > MOST else []
    return "\n  ".join([f"{len(each)} mistakes:", *each[:MOST], *more])
