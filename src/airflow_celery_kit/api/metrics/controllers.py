"""Runs in: airflow-apiserver; which controller leads, and what waits for the journal, from the metadata database."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import text

from airflow_celery_kit.api.metrics.families import COUNTER, GAUGE, Family, Sample
from airflow_celery_kit.api.snapshot import rows_or_none

FAMILIES = {
    "kit_controller_leader": Family(
        GAUGE, "1 for the controller that leads; 0 where the last one that did has let its lease run out.", ("controller",)
    ),
    "kit_controller_leader_changes_total": Family(COUNTER, "How often a controller took the lead."),
    "kit_journal_waiting_events": Family(GAUGE, "Changes in Airflow's database that are not in the journal yet, as far as 100000."),
    "kit_journal_waiting_oldest_seconds": Family(GAUGE, "Seconds that the oldest of them has waited; 0 where none does."),
}  # fmt: skip
# Of more than so many they are not counted: each is read.
MOST_WAITING = 100_000
LEADER = text("SELECT holder, token, expires_at > clock_timestamp() FROM kit.lease WHERE name = 'repair'")
WAITING = text(f"""
SELECT (SELECT count(*) FROM (SELECT FROM kit.change LIMIT {MOST_WAITING}) AS counted),
    (SELECT extract(epoch FROM clock_timestamp())::float8 - at FROM kit.change ORDER BY seq LIMIT 1)
""")


def samples(session: Any) -> Iterator[Sample]:
    """Return what the metadata database says; where the kit is installed alone no controller runs."""
    for holder, token, leads in rows_or_none(session, LEADER) or ():
        yield Sample("kit_controller_leader_changes_total", (), token)
        if holder:
            yield Sample("kit_controller_leader", (holder,), int(leads))
    for waiting, oldest in rows_or_none(session, WAITING) or ():
        yield Sample("kit_journal_waiting_events", (), waiting)
        yield Sample("kit_journal_waiting_oldest_seconds", (), max(0.0, oldest or 0.0))
