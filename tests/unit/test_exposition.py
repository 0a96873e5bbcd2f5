"""Runs in: unit tests; the text of a scrape says what prometheus_client would have written."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from airflow_celery_kit.api.metrics.exposition import Histogram, family

KINDS = {"kit_x_total": CounterMetricFamily, "kit_x": GaugeMetricFamily, "kit_x_seconds": HistogramMetricFamily}
NAMES = ("dag_id", "le0", "queue")
VALUES = st.floats() | st.integers(-(2**53), 2**53)
# What ends a line for Python and not for Prometheus, the library's parser splits.
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Zl", "Zp", "Cc"), include_characters="\n"), max_size=5)
LABELS = st.tuples(TEXTS, TEXTS, TEXTS)


def cumulated(buckets):
    """A histogram of so many values below each of two bounds and above them."""
    return Histogram((("0.1", buckets[0]), ("1.0", sum(buckets[:2])), ("+Inf", sum(buckets))), 7.5)


HISTOGRAMS = st.lists(st.integers(0, 2**40), min_size=3, max_size=3).map(cumulated)


def read(text):
    """What Prometheus reads: kind, help and samples of each family."""
    return [
        (one.name, one.type, one.documentation, sorted((s.name, sorted(s.labels.items()), repr(s.value)) for s in one.samples))
        for one in text_string_to_metric_families(text)
    ]  # fmt: skip


@given(
    name=st.sampled_from(sorted(KINDS)), says=TEXTS, labels=st.lists(LABELS, max_size=3, unique=True), data=st.data()
)
def test_the_library_writes_the_same(name, says, labels, data):
    values = data.draw(st.lists(HISTOGRAMS if name == "kit_x_seconds" else VALUES, min_size=len(labels), max_size=len(labels)))  # fmt: skip
    theirs = KINDS[name](name, says, labels=NAMES)
    for given_labels, value in zip(labels, values, strict=True):
        theirs.add_metric(given_labels, *(value if isinstance(value, Histogram) else [value]))
    named = [dict(zip(NAMES, one, strict=True)) for one in labels]
    ours = family(name, theirs.type, says, zip(named, values, strict=True))
    assert read("".join(ours)) == read(generate_latest(Registry(theirs)).decode())


class Registry:
    """What generate_latest asks."""

    def __init__(self, *families):
        self.families = families

    def collect(self):
        """Return the families."""
        return self.families


def test_without_labels_there_are_no_braces():
    assert "".join(family("kit_up", "gauge", "Is\nup", [({}, 1)])) == "# HELP kit_up Is\\nup\n# TYPE kit_up gauge\nkit_up 1.0\n"  # fmt: skip
