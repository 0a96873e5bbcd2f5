"""Runs in: airflow-controller; rows that are to be said once each, though a number that was given earlier may be committed later."""

from dataclasses import dataclass, field
from typing import Any

# The longest that a transaction which says something takes, and at the first look how far back is told.
SETTLED = "1 min"
MOST = 200


@dataclass
class Unsaid:
    """What of a table is to be said: `columns` of `table`, by `key`, a number that the database gives; a table has a time `at`, too.

    `before` is the number up to which all has been said, and `said` are those after it.
    """

    table: str
    key: str
    columns: str
    before: int | None = None
    said: set[int] = field(default_factory=set)

    def read(self, cursor: Any) -> list[tuple[Any, ...]]:
        """Return the next rows, MOST at a time, and count them as said. At the first time what is SETTLED is old. Raises psycopg2.Error."""
        settled = self._settled(cursor)
        if self.before is None:
            self.before = settled
        cursor.execute(
            f"SELECT {self.key}, {self.columns} FROM {self.table} WHERE {self.key} > %s AND {self.key} <> ALL(%s) "
            f"ORDER BY {self.key} LIMIT %s",
            (self.before, sorted(self.said), MOST),
        )
        found = cursor.fetchall()
        self.said.update(row[0] for row in found)
        if len(found) < MOST:
            self.before = max(self.before, settled)
            self.said = {number for number in self.said if number > self.before}
        return [row[1:] for row in found]

    def _settled(self, cursor: Any) -> int:
        cursor.execute(
            f"SELECT coalesce(max({self.key}), 0) FROM {self.table} WHERE at < clock_timestamp() - interval '{SETTLED}'"
        )
        return int(cursor.fetchone()[0])
