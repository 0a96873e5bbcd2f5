"""Runs in: airflow-apiserver; what a metric is, and how samples become Prometheus's families."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from airflow_celery_kit.api.metrics import exposition
from airflow_celery_kit.api.metrics.exposition import Histogram, Series

GAUGE, COUNTER, HISTOGRAM = "gauge", "counter", "histogram"


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
