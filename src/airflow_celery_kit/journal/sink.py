"""Runs in: scheduler and workers; writes events to the journal's database, as a role that may insert them and nothing else.

An event that was written before is left as it is, so whoever does not know whether a write was committed writes again.
"""

from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import Any

import psycopg2

from airflow_celery_kit.addresses import libpq
from airflow_celery_kit.keepalive import KEEPALIVE

COLUMNS = (
    "id uuid, at double precision, kind text, source text, task uuid, dag_id text, run_id text, task_id text, map_index integer, "
    "attempt integer, message text, worker text, seq bigint, facts jsonb"
)
NAMES = ", ".join(column.split()[0] for column in COLUMNS.split(", "))
VALUES = NAMES.replace(" at,", " to_timestamp(at),").replace(" facts", " coalesce(facts, '{}')")
WRITE = f"INSERT INTO journal.event ({NAMES}) SELECT {VALUES} FROM jsonb_to_recordset(%s::jsonb) AS said ({COLUMNS}) ON CONFLICT DO NOTHING"

Refuse = Callable[[Sequence[str]], None]


class Sink:
    """A connection to the journal, opened when it is first used; `address` is libpq's or SQLAlchemy's."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.connection: Any = None

    def write(self, lines: Sequence[str], refuse: Refuse) -> None:
        """Write events, each a JSON object, and commit; `refuse` is given those that can never be written.

        Raises psycopg2.Error when the database is away; then all of them may be written again.
        """
        try:
            self._insert(f"[{','.join(lines)}]")
        except (psycopg2.DataError, psycopg2.IntegrityError):
            self._write_halves(lines, refuse)

    def drop(self) -> None:
        """Close the connection; the next use opens another."""
        if self.connection:
            with suppress(psycopg2.Error), closing(self.connection):
                pass
        self.connection = None

    def _write_halves(self, lines: Sequence[str], refuse: Refuse) -> None:
        """Find what cannot be written among others that can."""
        if len(lines) == 1:
            return refuse(lines)
        middle = len(lines) // 2
        self.write(lines[:middle], refuse)
        self.write(lines[middle:], refuse)

    def _insert(self, events: str) -> None:
        if not self.connection:
            self.connection = psycopg2.connect(libpq(self.address), connect_timeout=5, **KEEPALIVE)
        with self.connection, self.connection.cursor() as cursor:
            cursor.execute(WRITE, (events,))
