"""Runs in: airflow-apiserver; what a metric is, and how samples become Prometheus's families."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

GAUGE, COUNTER, HISTOGRAM = "gauge", "counter", "histogram"
KINDS: dict[str, type[Any]] = {
    GAUGE: GaugeMetricFamily,
    COUNTER: CounterMetricFamily,
    HISTOGRAM: HistogramMetricFamily,
}


@dataclass(frozen=True)
class Family:
    """One metric: what kind it is, what it says, its labels, and label values that are there, as 0, before anything happened."""

    kind: str
    help: str
    labels: tuple[str, ...] = ()
    known: tuple[str, ...] = ()


class Histogram(NamedTuple):
    """How many values were at most each bound, that of all of them last, and their sum."""

    cumulated: tuple[tuple[str, float], ...]
    total: float


class Sample(NamedTuple):
    """One value of a metric, with the values of its labels."""

    name: str
    labels: tuple[str, ...]
    value: float | Histogram


class Collector:
    """What `prometheus_client.generate_latest` asks for one scrape; `more` are families that are known by their samples alone."""

    def __init__(self, families: Mapping[str, Family], samples: Iterable[Sample], more: Iterable[Metric] = ()) -> None:
        self.families, self.samples, self.more = families, samples, more

    def collect(self) -> Iterator[Metric]:
        """Return every family, also those without a sample."""
        made = {
            name: KINDS[one.kind](name, one.help, labels=one.labels)
            for name, one in self.families.items()
        }  # fmt: skip
        for name, labels, value in self.samples:
            if isinstance(value, Histogram):
                made[name].add_metric(labels, value.cumulated, value.total)
            else:
                made[name].add_metric(labels, value)
        yield from made.values()
        yield from self.more


def nothing_yet(families: Mapping[str, Family]) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return 0 for each counter whose labels are known before anything happened: a series that begins at 1 hides its first one."""
    counters = {name: one for name, one in families.items() if one.kind == COUNTER}
    alone = {(name, ()): 0.0 for name, one in counters.items() if not one.labels}
    return alone | {(name, (value,)): 0.0 for name, one in counters.items() for value in one.known}
