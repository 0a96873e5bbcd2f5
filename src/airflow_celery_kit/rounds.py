"""Runs in: airflow-controller and airflow-triggerer; one round of housekeeping: what was found and removed, how long it may take."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_celery_kit.core.housekeeping import Limits

# What was done stands in this row; each part of the housekeeping writes its own key of it.
READ = "SELECT facts FROM kit.seen WHERE what = 'housekeeping'"
WRITE = """
INSERT INTO kit.seen (what, at, facts) VALUES ('housekeeping', clock_timestamp(), %s)
ON CONFLICT (what) DO UPDATE SET at = excluded.at, facts = kit.seen.facts || excluded.facts
"""

Facts = dict[str, Any]
# Removes some and returns how many and their bytes; (0, 0) when nothing is left.
Remove = Callable[[], tuple[int, int]]


@dataclass
class Round:
    """A round that may last for so many seconds and rests so many after each batch; one that is `dry` removes nothing."""

    limits: Limits
    dry: bool
    seconds: float
    rest: float
    begun_at: float = field(default_factory=time.time)
    begun: float = field(default_factory=time.monotonic)
    rows: list[Facts] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    complete: bool = True

    def found(self, what: str, limit: str, rows: int, size: int, oldest: float, **more: Any) -> Facts:
        """Note what is to go, the seconds of the oldest of it, and why; return the row, in which what was removed is counted."""
        row = {"what": what, "limit": limit, "keeps": self.limits.word(limit), "rows": rows, "bytes": size}
        row |= {"oldest_seconds": round(oldest), "removed": 0, "removed_bytes": 0, **more}
        self.rows.append(row)
        return row

    def remove(self, row: Facts, some: Remove) -> None:
        """Remove batch after batch until nothing is left or the time is up."""
        while row["rows"] and self.goes_on() and self.remove_once(row, some):
            pass

    def remove_once(self, row: Facts, some: Remove) -> int:
        """Remove one batch; return how many of it are gone."""
        if self.dry:
            return 0
        gone, size = some()
        row["removed"] += gone
        row["removed_bytes"] += size
        time.sleep(self.rest)
        return gone

    def goes_on(self) -> bool:
        """Return whether there is time left; where there is none the round is not complete."""
        self.complete = self.complete and time.monotonic() - self.begun < self.seconds
        return self.complete

    def facts(self, before: Mapping[str, Any]) -> Facts:
        """Return the round as it is written down, with what all rounds have removed since the first; `before` is what was."""
        totals: Facts = {name: dict(total) for name, total in before.get("totals", {}).items()}
        for row in self.rows:
            total = totals.setdefault(row["what"], {"rows": 0, "bytes": 0})
            total["rows"] += row["removed"]
            total["bytes"] += row["removed_bytes"]
        return {
            "begun_at": self.begun_at, "ended_at": time.time(), "complete": self.complete, "errors": self.errors,
            "rows": self.rows, "totals": totals,
        }  # fmt: skip


def chunks(rows: list[Any], most: int) -> Iterator[list[Any]]:
    """Yield the rows, `most` at a time."""
    yield from (rows[at : at + most] for at in range(0, len(rows), most))


def read(cursor: Any) -> Facts:
    """Return what stands in the row, nothing where there is none. Raises psycopg2.Error."""
    cursor.execute(READ)
    row = cursor.fetchone()
    return row[0] if row else {}
