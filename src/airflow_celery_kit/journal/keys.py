"""Runs in: task processes that ask for it; who does the work of a key, and what its result was (schema `state`).

A call opens a connection as the worker's role, which may call three functions and see no row, and closes it.
"""

import json
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg2
import tenacity

from airflow_celery_kit import addresses
from airflow_celery_kit.keepalive import KEEPALIVE

# A database that restarts is waited for.
PATIENCE_SECONDS = 60.0
OPTIONS = "-c statement_timeout=5s"

patient = tenacity.retry(
    retry=tenacity.retry_if_exception_type(psycopg2.OperationalError),
    stop=tenacity.stop_after_delay(PATIENCE_SECONDS),
    wait=tenacity.wait_random_exponential(multiplier=0.5, max=5),
    reraise=True,
)


@dataclass(frozen=True)
class Keys:
    """The keys of a journal. `address` is libpq's or SQLAlchemy's. Each call raises psycopg2.Error after a minute without an answer."""

    address: str

    def take(self, key: str, holder: str) -> dict[str, Any]:
        """Take a key for an attempt; return what the key `is`: `mine`, `done` with the `result` of attempt `by`, or `taken` `by` another."""
        found: dict[str, Any] = self._call("SELECT state.take(%s, %s::uuid)", key, holder)
        return found

    def finish(self, key: str, holder: str, result: Any) -> bool:
        """Keep the result; return whether the key was still this attempt's."""
        return bool(self._call("SELECT state.finish(%s, %s::uuid, %s::jsonb)", key, holder, json.dumps(result)))

    def release(self, key: str, holder: str) -> bool:
        """Let another attempt do the work; return whether the key was still this attempt's. Tries once."""
        return bool(self._ask("SELECT state.release(%s, %s::uuid)", key, holder))

    @patient
    def _call(self, statement: str, *values: Any) -> Any:
        return self._ask(statement, *values)

    def _ask(self, statement: str, *values: Any) -> Any:
        with (
            closing(
                psycopg2.connect(addresses.libpq(self.address), connect_timeout=5, options=OPTIONS, **KEEPALIVE)
            ) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement, values)
            return cursor.fetchone()[0]
