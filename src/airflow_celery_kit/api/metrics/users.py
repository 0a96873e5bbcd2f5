"""Runs in: airflow-apiserver; metrics that tasks fill by themselves, as the controller has counted them up. Their names are the tasks'."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from sqlalchemy.exc import ProgrammingError

from airflow_celery_kit.api.metrics import exposition
from airflow_celery_kit.api.metrics.tasks import histogram
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


def lines(journal: Reader | None) -> Iterator[str]:
    """Return the text of one family for each name; none where no journal is kept, or its database is away or of an older version."""
    try:
        rows = journal.rows(SERIES) if journal else []
    except (AwayError, ProgrammingError):
        return
    for (name, kind), series in groupby(rows, key=lambda row: (row.name, row.kind)):
        end = "_total" if kind == Kind.COUNTER else ""
        yield from exposition.family(f"{PREFIX}{name}{end}", kind, HELP[Kind(kind)], map(of_one, series))


def of_one(row: Any) -> exposition.Series:
    """Return one series: a row's labels and value."""
    return row.labels, histogram(row.buckets, row.value) if row.kind == Kind.HISTOGRAM else row.value
