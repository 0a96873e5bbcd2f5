"""Runs in: the scheduler, in a thread; events that triggers wrote beside Airflow's own rows, in the same transaction (outbox.sql).

So a change of state and its event are there together or not at all, whoever made the change: scheduler, api-server, a task, an operator.
"""

import json
import logging
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import psycopg2

from airflow_celery_kit.journal.graphs import Graphs
from airflow_celery_kit.journal.sink import Sink

log = logging.getLogger(__name__)

BATCH = 1000
# One carrier at a time: events of one task keep their order.
ALONE = "SELECT pg_try_advisory_xact_lock(hashtext('kit.change'))"
TAKE = """
WITH gone AS (DELETE FROM kit.change WHERE seq IN (SELECT seq FROM kit.change ORDER BY seq LIMIT %s) RETURNING *)
SELECT kind, (jsonb_strip_nulls(to_jsonb(gone) - 'facts') || jsonb_build_object('facts', coalesce(facts, '{}')))::text FROM gone ORDER BY seq
"""
# The event of a Dag run has its configuration, which may be what an operator typed.
RUN = "run_"

Mask = Callable[[Any], Any]


class OutboxSupply:
    """Events in the metadata database. `connect` opens a connection, `mask` replaces what is secret in a run's configuration."""

    def __init__(self, connect: Callable[[], Any], mask: Mask) -> None:
        self.connect, self.mask = connect, mask
        self.connection: Any = None
        self.graphs = Graphs()

    def carry(self, sink: Sink) -> int:
        """See `forwarder.Supply`."""
        carried = 0
        while True:
            found = self._carry_some(sink)
            carried += found
            if found < BATCH:
                return carried

    def drop(self) -> None:
        """See `forwarder.Supply`."""
        if self.connection:
            with suppress(psycopg2.Error), closing(self.connection):
                pass
        self.connection = None

    def _carry_some(self, sink: Sink) -> int:
        if not self.connection:
            self.connection = self.connect()
        with self.connection, self.connection.cursor() as cursor:
            cursor.execute(ALONE)
            if not cursor.fetchone()[0]:
                return 0
            cursor.execute(TAKE, (BATCH,))
            found = cursor.fetchall()
            lines = [self._masked(line) if kind.startswith(RUN) else line for kind, line in found]
            versions = {version for kind, line in found if kind.startswith(RUN) and (version := version_of(line))}
            if lines:
                # Written before they are gone: twice at worst, which the journal notices.
                sink.write([*self.graphs.events(cursor, versions), *lines], self._refuse)
        self.graphs.were_told(versions)
        return len(lines)

    def _masked(self, line: str) -> str:
        event = json.loads(line)
        if event["facts"].get("conf"):
            event["facts"]["conf"] = self.mask(event["facts"]["conf"])
        return json.dumps(event)

    def _refuse(self, lines: Any) -> None:
        """Say what the journal never takes; kept, it would keep all that comes after it."""
        for line in lines:
            log.error("the journal does not take an event, which is lost: %s", line)


def version_of(line: str) -> str | None:
    """Return with which version of its Dag a run was created, as its event says."""
    found: str | None = json.loads(line)["facts"].get("version")
    return found
