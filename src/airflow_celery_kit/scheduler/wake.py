"""Runs in: the scheduler; ends its idle sleep when a task has ended, or a run has come or is due, so that it need not look often.

Triggers in the metadata database send a notification at the commit that changes a state (wake.sql; PostgreSQL, NOTIFY:
equal ones of one transaction are delivered once). A notification that is lost costs what it costs without: the rest of the sleep.
While no run is under way there are no retries, sensors or timeouts to look for, and it sleeps longer.
"""

import logging
import os
import select
import time
from collections.abc import Callable
from typing import Any

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT

from airflow_celery_kit import patching

log = logging.getLogger(__name__)

CHANNEL = "kit_wake"
# Between two tries to connect; the database is away, and the scheduler has other things to do.
RECONNECT_SECONDS = 5.0
# A server that vanished without a word is noticed after about 20 s (libpq, connection parameters).
KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 2, "tcp_user_timeout": 20_000}
# Whether a run is under way, and the seconds until one of a schedule is due; one that was due a moment ago may not be made yet.
PROSPECT = """
SELECT EXISTS (SELECT 1 FROM dag_run WHERE state = 'queued') OR EXISTS (SELECT 1 FROM dag_run WHERE state = 'running'),
       (SELECT extract(epoch FROM min(next_dagrun_create_after) - clock_timestamp())::float8
        FROM dag WHERE next_dagrun_create_after > clock_timestamp() - interval '1 min' AND NOT is_paused AND NOT is_stale)
"""
# So long after its moment a run is surely due.
DUE_MARGIN = 0.005
WRITTEN_AGAINST = {"_run_scheduler_loop": "d7dd5578d64a"}


class Bell:
    """Sleeps until it is rung. `connect` gives a new connection to the database, `rest` is how long it sleeps while no run is under way."""

    def __init__(
        self, connect: Callable[[], Any], rest: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.connect, self.rest, self.clock = connect, rest, clock
        self.connection: Any = None
        self.next_try = 0.0

    def wait(self, seconds: float) -> bool:
        """Sleep for `seconds`, less when a run is due, more while none is under way; return whether something has happened."""
        try:
            return self._listen(seconds)
        except Exception as problem:
            log.warning("the scheduler is not woken, it looks every second: %s", str(problem).strip())
            self._hang_up()
        time.sleep(seconds)
        return False

    def _listen(self, seconds: float) -> bool:
        connection = self._connected()
        if connection is None:
            time.sleep(seconds)
            return False
        until = self.clock() + self._suitable(connection, seconds)
        connection.poll()
        while not connection.notifies and (left := until - self.clock()) > 0 and readable(connection, left):
            connection.poll()
        rung = bool(connection.notifies)
        connection.notifies.clear()
        return rung

    def _suitable(self, connection: Any, seconds: float) -> float:
        with connection.cursor() as cursor:
            cursor.execute(PROSPECT)
            under_way, due = cursor.fetchone()
        overdue = due is not None and due <= 0
        longest = seconds if under_way or overdue else max(seconds, self.rest)
        return longest if due is None or overdue else min(longest, due + DUE_MARGIN)

    def _connected(self) -> Any:
        if self.connection is None and self.clock() >= self.next_try:
            self.next_try = self.clock() + RECONNECT_SECONDS
            self.connection = self.connect()
            self.connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
            with self.connection.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
        return self.connection

    def _hang_up(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.connection = None


def readable(connection: Any, seconds: float) -> bool:
    """Wait until there is something to read, at most `seconds`; return whether there is."""
    waiting = select.poll()
    waiting.register(connection, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))


class Clock:
    """The module `time` with another `sleep`."""

    def __init__(self, bell: Bell) -> None:
        self.sleep = bell.wait

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


def connect() -> Any:
    """Return a connection to the metadata database that Airflow is configured with. Raises psycopg2.Error."""
    from airflow.configuration import conf

    address = conf.get_mandatory_value("database", "sql_alchemy_conn").replace("+psycopg2", "", 1)
    return psycopg2.connect(address, connect_timeout=2, application_name="kit wake", **KEEPALIVE)


def install() -> None:
    """Let this process's scheduler be woken."""
    from airflow.jobs import scheduler_job_runner

    if patching.fits("waking the scheduler", scheduler_job_runner.SchedulerJobRunner, WRITTEN_AGAINST):
        scheduler_job_runner.time = Clock(Bell(connect, float(os.environ.get("KIT_REST_SECONDS", "0"))))
