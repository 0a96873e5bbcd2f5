"""Runs in: airflow-apiserver; what the leading controller saw last in the broker, and how old that is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg2
from sqlalchemy import text
from sqlalchemy.exc import OperationalError, ProgrammingError

from airflow_celery_kit.controller.seen import STALE_SECONDS

# The age is measured by the clock that wrote the time.
READ = text("SELECT at, extract(epoch FROM clock_timestamp() - at), facts FROM kit.seen WHERE what = :what")
NEVER = "no controller has looked at the broker: one runs in the kit's own stacks, see 'kit status' there"


@dataclass(frozen=True)
class Snapshot:
    """One look at the broker: when it was, how old it is in seconds, and what `controller/queues.py` saw."""

    at: datetime
    age_seconds: float
    facts: dict[str, Any]

    @property
    def stale(self) -> bool:
        """Whether what it says may long have changed."""
        return self.age_seconds > STALE_SECONDS


def read(session: Any, what: str = "queues") -> Snapshot | None:
    """Return the last look at something, None when there was none. `session` is one of SQLAlchemy's on the metadata database.

    Where the kit is installed alone, the table is not there either.
    """
    rows = rows_or_none(session, READ, what=what)
    row = rows[0] if rows else None
    return Snapshot(row[0], round(float(row[1]), 3), row[2]) if row else None


def rows_or_none(session: Any, statement: Any, **values: Any) -> Sequence[Any] | None:
    """Return what a query finds, None where a table that it names is not there. Raises OperationalError while the database is away."""
    try:
        return list(session.execute(statement, values))
    except (ProgrammingError, OperationalError) as problem:
        if isinstance(problem.orig, psycopg2.Error) and not isinstance(problem.orig, psycopg2.errors.UndefinedTable):
            raise
        session.rollback()
        return None


def answer(seen: Snapshot | None) -> dict[str, Any]:
    """Return what `GET /kit/v1/queues` says. A stale look is given out as it is, marked as such, with the reason."""
    if seen is None:
        nothing = {"at": None, "age_seconds": None, "queues": [], "workers": [], "delivered": None}
        return {**nothing, "stale": True, "reason": NEVER}
    return {
        "at": seen.at.isoformat(),
        "age_seconds": seen.age_seconds,
        "stale": seen.stale,
        "reason": why(seen) if seen.stale else "",
        "queues": seen.facts["queues"],
        "workers": seen.facts.get("workers", []),
        "delivered": seen.facts["delivered"],
    }


def why(seen: Snapshot) -> str:
    """Return the sentence about a stale look."""
    return (
        f"the last look at the broker is {seen.age_seconds:.0f} s old: no controller runs, or it cannot see the broker "
        "or a database; see 'kit logs airflow-controller'"
    )
