"""Runs in: airflow-apiserver; what housekeeping has removed, from the row that both of its parts write."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import text

from airflow_celery_kit.api.metrics.families import COUNTER, GAUGE, Family, Sample
from airflow_celery_kit.api.snapshot import rows_or_none
from airflow_celery_kit.core.housekeeping import Limits
from airflow_celery_kit.rounds import READ

# `part` is `controller` (results, keys) or `airflow` (Airflow's tables, logs).
FAMILIES = {
    "kit_housekeeping_removed_total": Family(COUNTER, "Rows, files and keys that housekeeping has removed.", ("what",)),
    "kit_housekeeping_removed_bytes_total": Family(COUNTER, "Their bytes.", ("what",)),
    "kit_housekeeping_round_timestamp_seconds": Family(
        GAUGE, "When each part's last round ended, in seconds since 1970; 0 where none has, though the controller asked for it.", ("part",)
    ),
    "kit_housekeeping_interval_seconds": Family(GAUGE, "Seconds between two rounds, as the limits in force say."),
    "kit_housekeeping_errors": Family(GAUGE, "What the last round of each part could not clean.", ("part",)),
    "kit_housekeeping_disk_used_ratio": Family(GAUGE, "How full the disk with the logs was at the last round, 0 to 1."),
}  # fmt: skip
PARTS = ("controller", "airflow")
LAST = text(READ)


def samples(session: Any) -> Iterator[Sample]:
    """Return what the last rounds say; nothing where there was none, or no controller runs."""
    for (facts,) in rows_or_none(session, LAST) or ():
        yield from of(facts)


def of(facts: Mapping[str, Any]) -> Iterator[Sample]:
    """Return what stands in the row."""
    if asked := "asked_at" in facts:
        yield Sample("kit_housekeeping_interval_seconds", (), Limits(facts.get("limits", {}))["every"])
    for part in PARTS:
        said = facts.get(part, {})
        for what, total in said.get("totals", {}).items():
            yield Sample("kit_housekeeping_removed_total", (what,), total["rows"])
            yield Sample("kit_housekeeping_removed_bytes_total", (what,), total["bytes"])
        if ended := said.get("ended_at"):
            yield Sample("kit_housekeeping_errors", (part,), len(said["errors"]))
        if ended or asked:
            yield Sample("kit_housekeeping_round_timestamp_seconds", (part,), ended or 0.0)
    if disk := facts.get("airflow", {}).get("disk"):
        yield Sample("kit_housekeeping_disk_used_ratio", (), disk["used"])
