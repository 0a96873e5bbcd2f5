"""Runs in: airflow-apiserver; what happened to tasks, from the figures that the controller counts up in the journal's database."""

from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from sqlalchemy.exc import ProgrammingError

from airflow_celery_kit.api.metrics.families import (
    COUNTER,
    GAUGE,
    HISTOGRAM,
    Family,
    Histogram,
    Sample,
    nothing_yet,
)
from airflow_celery_kit.core.journal.events import Source
from airflow_celery_kit.core.repair import Action
from airflow_celery_kit.journal.reader import AwayError, Reader

SOURCES = tuple(sorted(Source))
FAMILIES = {
    "kit_tasks_ended_total": Family(
        COUNTER, "Attempts of tasks that have ended, by Dag, queue and status. Status RETRY: another attempt follows.", ("dag_id", "queue", "status")
    ),
    "kit_task_hop_seconds": Family(
        HISTOGRAM,
        "Seconds that an attempt spent in each hop: airflow, due and not sent yet; sending, on its way to the broker; broker, until a "
        "worker took it; starting; running. Each ended attempt counts once.",
        ("dag_id", "queue", "hop"),
    ),
    "kit_tasks_open": Family(GAUGE, "Attempts that have not ended, by queue and status.", ("queue", "status")),
    "kit_runs_ended_total": Family(COUNTER, "Dag runs that have ended, by Dag and state.", ("dag_id", "state")),
    "kit_redeliveries_total": Family(COUNTER, "Messages that a worker was given a second time."),
    "kit_repairs_total": Family(COUNTER, "Tasks that the controller put right, by what it did.", ("action",), tuple(sorted(Action))),
    "kit_task_deaths_total": Family(
        COUNTER, "Task processes that were lost: killed, or ended because their worker stopped.", ("cause",), ("killed", "worker_stopped")
    ),
    "kit_tasks_set_aside_total": Family(COUNTER, "Tasks that were failed because they kill what runs them."),
    "kit_metrics_dropped_total": Family(
        COUNTER,
        "Series of tasks' own metrics that reached the journal and are not counted. invalid: not written by metric(), which keeps back what "
        "it refuses and warns of it in the task's log; kind: the name has another one; names, series: there are too many.",
        ("cause",),
        ("invalid", "kind", "names", "series"),
    ),
    "kit_journal_events_total": Family(COUNTER, "Events that were written to the journal, by who said it.", ("source",), SOURCES),
    "kit_journal_lost_events_total": Family(COUNTER, "Events that were lost because no disk took them."),
    "kit_journal_delay_seconds": Family(
        HISTOGRAM, "Seconds until the oldest event of each batch was in the journal, by who said it.", ("source",)
    ),
    "kit_tasks_counted_timestamp_seconds": Family(
        GAUGE, "When all of these were counted up last, in seconds since 1970. An ended attempt is counted 10 s later."
    ),
    "kit_journal_up": Family(GAUGE, "1 where the journal's database answered this scrape and has its tables; 0, and none of these, where not."),
}  # fmt: skip
# journal.bounds(), as Prometheus spells them; a contract test compares both.
BOUNDS = ("0.1", "0.5", "1.0", "2.5", "5.0", "10.0", "30.0", "60.0", "300.0", "900.0", "3600.0", "14400.0", "+Inf")
COUNTED = "SELECT name, labels, value FROM journal.counter"
TIMED = "SELECT name, labels, buckets, total FROM journal.histogram"
COUNTING = (
    "SELECT 'kit_tasks_counted_timestamp_seconds', '{}'::text[], extract(epoch FROM at)::float8 FROM journal.counting"
)


def samples(journal: Reader | None) -> Iterator[Sample]:
    """Return every figure; none where no journal is kept. Names that a newer database counts are left out."""
    if journal is None:
        return
    try:
        counted = journal.rows(f"{COUNTED} UNION ALL {COUNTING}")
        timed = journal.rows(TIMED)
    except (AwayError, ProgrammingError):
        # The second while its tables are not there yet, or are an older version's.
        yield Sample("kit_journal_up", (), 0)
        return
    yield Sample("kit_journal_up", (), 1)
    values = nothing_yet(FAMILIES) | {(name, tuple(labels)): value for name, labels, value in counted}
    yield from (Sample(name, labels, value) for (name, labels), value in values.items() if name in FAMILIES)
    yield from (Sample(name, tuple(labels), histogram(buckets, total)) for name, labels, buckets, total in timed)


def histogram(buckets: Any, total: float) -> Histogram:
    """Return the counts of each bucket, as Prometheus wants them: of all values up to its bound."""
    return Histogram(tuple(zip(BOUNDS, accumulate(buckets), strict=True)), total)
