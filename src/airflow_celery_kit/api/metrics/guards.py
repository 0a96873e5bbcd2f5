"""Runs in: airflow-apiserver; what limits and breakers let in and keep out, from the metadata database."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from sqlalchemy import text

from airflow_celery_kit.api.metrics.families import COUNTER, GAUGE, Family, Sample, bounded
from airflow_celery_kit.api.snapshot import rows_or_none

STATES = ("closed", "open", "half-open")
FAMILIES = {
    "kit_limit_slots": Family(
        GAUGE, "Tasks that a limit allows at a time, for each user, Dag or other thing that it is counted by; a rate alone has none.", ("limit",)
    ),
    "kit_limit_taken_tasks": Family(GAUGE, "Tasks that a limit has let in and that have not ended.", ("limit",)),
    "kit_limit_waiting_tasks": Family(GAUGE, "Tasks that a limit keeps out.", ("limit",)),
    "kit_limit_suspended": Family(GAUGE, "1 while a limit is suspended by hand and nothing of it begins.", ("limit",)),
    "kit_breaker_state": Family(
        GAUGE, f"1 for the state that a breaker is in ({', '.join(STATES)}), else 0; for one that is counted by something: how many are.",
        ("breaker", "state"),
    ),
    "kit_breaker_trips_total": Family(COUNTER, "How often a breaker has opened.", ("breaker",)),
    "kit_breaker_waiting_tasks": Family(GAUGE, "Tasks that a breaker keeps out.", ("breaker",)),
}  # fmt: skip
# Limits and breakers with figures of their own: those of the file first. All others count as `other`.
MOST = 200
# The tables come before functions: where the kit is installed alone, they are what is not there.
GUARDS = text("""
SELECT g.kind, g.name, kit.limit_slots(g) AS slots, stopped.guard IS NOT NULL AS suspended, coalesce(now.taken, 0) AS taken,
    coalesce(now.waiting, 0) AS waiting, greatest(met.closed, 1 - met.tokens) AS closed, met.open, met.half_open,
    met.trips + coalesce(gone.trips, 0) AS trips
FROM kit.guard AS g
LEFT JOIN kit.guard_suspended AS stopped ON stopped.guard = g.id
LEFT JOIN kit.guard_trip AS gone ON gone.guard = g.id
CROSS JOIN LATERAL (
    SELECT count(*) AS tokens, count(*) FILTER (WHERE state = 'closed') AS closed, count(*) FILTER (WHERE state = 'open') AS open,
        count(*) FILTER (WHERE state = 'half-open') AS half_open, coalesce(sum(trips_ever), 0) AS trips
    FROM kit.breaker AS b WHERE b.guard = g.id
) AS met
LEFT JOIN (
    SELECT guard, sum(taken) AS taken, sum(waiting) AS waiting FROM kit.guard_now() GROUP BY guard
) AS now ON now.guard = g.id
WHERE g.id <> 'limit start' ORDER BY g.origin <> 'file', g.name
""")


def samples(session: Any) -> Iterator[Sample]:
    """Return what limits and breakers hold now; nothing where the kit is installed alone."""
    rows = rows_or_none(session, GUARDS) or ()
    yield from bounded(chain.from_iterable(of_limit(one) for one in rows if one.kind == "limit"), MOST)
    yield from bounded(chain.from_iterable(of_breaker(one) for one in rows if one.kind == "breaker"), MOST)


def of_limit(row: Any) -> Iterator[Sample]:
    """Return the samples of one limit."""
    if row.slots is not None:
        yield Sample("kit_limit_slots", (row.name,), float(row.slots))
    yield Sample("kit_limit_taken_tasks", (row.name,), float(row.taken))
    yield Sample("kit_limit_waiting_tasks", (row.name,), float(row.waiting))
    yield Sample("kit_limit_suspended", (row.name,), float(row.suspended))


def of_breaker(row: Any) -> Iterator[Sample]:
    """Return the samples of one breaker."""
    for state, number in zip(STATES, (row.closed, row.open, row.half_open), strict=True):
        yield Sample("kit_breaker_state", (row.name, state), float(number))
    yield Sample("kit_breaker_trips_total", (row.name,), float(row.trips))
    yield Sample("kit_breaker_waiting_tasks", (row.name,), float(row.waiting))
