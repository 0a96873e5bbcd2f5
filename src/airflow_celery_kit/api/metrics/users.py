"""Runs in: airflow-apiserver; metrics that tasks fill by themselves, as the controller has counted them up. Their names are the tasks'."""

from collections.abc import Iterator
from itertools import accumulate, groupby
from typing import Any

from prometheus_client.core import Metric
from sqlalchemy.exc import ProgrammingError

from airflow_celery_kit.api.metrics.tasks import BOUNDS
from airflow_celery_kit.core.user_metrics import PREFIX, Kind
from airflow_celery_kit.journal.reader import AwayError, Reader

HELP = {
    Kind.COUNTER: "Added up by tasks of the user's.",
    Kind.GAUGE: "Said last by a task of the user's.",
    Kind.HISTOGRAM: "Observed by tasks of the user's.",
}
SERIES = """
SELECT name, kind, labels, value, buckets FROM journal.user_series JOIN journal.user_metric USING (name) ORDER BY name, labels::text
"""


def families(journal: Reader | None) -> Iterator[Metric]:
    """Return one family for each name; none where no journal is kept, or its database is away or of an older version."""
    try:
        rows = journal.rows(SERIES) if journal else []
    except (AwayError, ProgrammingError):
        return
    for (name, kind), series in groupby(rows, key=lambda row: (row.name, row.kind)):
        yield family(f"{PREFIX}{name}", kind, series)


def family(name: str, kind: str, series: Any) -> Metric:
    """Return one metric with its samples."""
    made = Metric(name, HELP[Kind(kind)], kind)
    for one in series:
        if kind == Kind.HISTOGRAM:
            of_histogram(made, one)
        else:
            made.add_sample(f"{name}_total" if kind == Kind.COUNTER else name, one.labels, one.value)
    return made


def of_histogram(made: Metric, one: Any) -> None:
    """Add one histogram: how many values were at most each bound, how many there were, and their sum."""
    reached = list(accumulate(one.buckets))
    for bound, number in zip(BOUNDS, reached, strict=True):
        made.add_sample(f"{made.name}_bucket", {**one.labels, "le": bound}, number)
    made.add_sample(f"{made.name}_count", one.labels, reached[-1])
    made.add_sample(f"{made.name}_sum", one.labels, one.value)
