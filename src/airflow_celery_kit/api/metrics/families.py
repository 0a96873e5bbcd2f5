"""Runs in: airflow-apiserver; what a metric is, and how samples become Prometheus's families."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from airflow_celery_kit.api.metrics import exposition
from airflow_celery_kit.api.metrics.exposition import Histogram, Series

GAUGE, COUNTER, HISTOGRAM = "gauge", "counter", "histogram"
# What names that are too many count as.
OTHER = "other"


@dataclass(frozen=True)
class Family:
    """One metric: what kind it is, what it says, its labels, and label values that are there, as 0, before anything happened."""

    kind: str
    help: str
    labels: tuple[str, ...] = ()
    known: tuple[str, ...] = ()


class Sample(NamedTuple):
    """One value of a metric, with the values of its labels."""

    name: str
    labels: tuple[str, ...]
    value: float | Histogram


def lines(families: Mapping[str, Family], samples: Iterable[Sample]) -> Iterator[str]:
    """Return the text of every family, also of those without a sample."""
    series: dict[str, list[Series]] = {name: [] for name in families}
    for name, labels, value in samples:
        series[name].append((dict(zip(families[name].labels, labels, strict=True)), value))
    for name, one in families.items():
        yield from exposition.family(name, one.kind, one.help, series[name])


def nothing_yet(families: Mapping[str, Family]) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return 0 for each counter whose labels are known before anything happened: a series that begins at 1 hides its first one."""
    counters = {name: one for name, one in families.items() if one.kind == COUNTER}
    alone = {(name, ()): 0.0 for name, one in counters.items() if not one.labels}
    return alone | {(name, (value,)): 0.0 for name, one in counters.items() for value in one.known}


def bounded(found: Iterable[Sample], most: int, longest: Collection[str] = ()) -> Iterator[Sample]:
    """Return samples of so many names, the first ones; those of all others are added up, of metrics in `longest` the largest is told."""
    known: dict[str, None] = {}
    rest: dict[tuple[str, tuple[str, ...]], Any] = {}
    for one in found:
        name, *more = one.labels
        if name != OTHER and (name in known or len(known) < most):
            known[name] = None
            yield one
        else:
            key = one.name, (OTHER, *more)
            before = rest.get(key, 0.0)
            rest[key] = max(before, one.value) if one.name in longest else before + one.value
    yield from (Sample(name, labels, value) for (name, labels), value in rest.items())
