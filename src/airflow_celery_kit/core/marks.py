"""Runs in: every process that reads a file of rules; pure: where in a YAML file something stands."""

from collections.abc import Iterable
from typing import Any

import yaml


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


def twice(node: Any, seen_nodes: set[int] | None = None) -> Any:
    """Return the key of a mapping that stands there a second time, None where there is none. Raises RecursionError."""
    # A part that has a name may stand in several places, and within itself.
    known = set() if seen_nodes is None else seen_nodes
    if id(node) in known:
        return None
    known.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        return next((found for one in node.value if (found := twice(one, known))), None)
    if not isinstance(node, yaml.MappingNode):
        return None
    seen = set()
    for key, value in node.value:
        if key.value in seen:
            return key
        seen.add(key.value)
        if found := twice(value, known):
            return found
    return None
