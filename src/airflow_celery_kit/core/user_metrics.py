"""Runs in: task processes and airflow-apiserver; which figures tasks may count by themselves, and what they are called for Prometheus. Pure.

Names follow https://prometheus.io/docs/concepts/data_model. What a metric's kind adds to its name may not stand there already, so that no
two metrics have samples of one name.
"""

import re
from bisect import bisect_left
from collections.abc import Mapping
from enum import StrEnum
from numbers import Integral, Real
from typing import Any

PREFIX = "kit_user_"
# journal.bounds(); a contract test compares both. A value on a bound is below it.
BOUNDS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,99}")
LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]{0,63}")
TAKEN_ENDS = ("_total", "_created", "_bucket", "_sum", "_count", "_info")
# Prometheus's own, and the one that each series has.
TAKEN_LABELS = frozenset({"le", "quantile", "job", "instance", "dag_id"})
MOST_LABELS, MOST_OF_A_VALUE, MOST_VALUE = 8, 100, 1e15


class Kind(StrEnum):
    """What becomes of values: they are added up, the last one counts, or they are sorted into buckets."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


def base(name: str, kind: str) -> str:
    """Return the name without what its kind adds: a counter may be given with its `_total`."""
    return name.removesuffix("_total") if kind == Kind.COUNTER else name


def problem(name: str, kind: str, value: Any, labels: Mapping[str, Any]) -> str:
    """Return what is wrong with a figure, in words; nothing where it can be counted. `name` is its base."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return "a name has letters, digits and underscores, begins with a letter and has 100 characters at most"
    if kind not in list(Kind):
        return f"its kind is one of {', '.join(Kind)}, not {kind!r}"
    if end := next((one for one in TAKEN_ENDS if name.endswith(one)), ""):
        return f"a {kind}'s name does not end with {end}: Prometheus gives that to other samples"
    return problem_of_value(kind, value) or problem_of_labels(labels)


def problem_of_value(kind: str, value: Any) -> str:
    """Return what is wrong with a value."""
    # What is no number is not between these either.
    if not isinstance(value, Real) or not abs(value) <= MOST_VALUE:
        return "its value is no number between -1e15 and 1e15"
    return f"a counter only grows, and {value} is less than 0" if kind == Kind.COUNTER and value < 0 else ""


def problem_of_labels(labels: Mapping[str, Any]) -> str:
    """Return what is wrong with labels."""
    if len(labels) > MOST_LABELS:
        return f"it has {len(labels)} labels, {MOST_LABELS} at most"
    for name, value in labels.items():
        if not LABEL.fullmatch(name) or name in TAKEN_LABELS:
            return f"no label may be called {name!r}"
        text = str(value)
        if len(text) > MOST_OF_A_VALUE or not text.isprintable():
            return f"the label {name} has {MOST_OF_A_VALUE} characters at most, all of them printable"
    return ""


def plain(value: Any) -> float:
    """Return a number as JSON has it, also one of NumPy's."""
    return int(value) if isinstance(value, Integral) else float(value)


def bucket(value: float) -> int:
    """Return the place of a value's bucket; the last one has no bound."""
    return bisect_left(BOUNDS, value)
