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

from airflow_celery_kit import addresses, patching
from airflow_celery_kit.keepalive import KEEPALIVE
from airflow_celery_kit.scheduler import beginnings, looks, pace

log = logging.getLogger(__name__)

CHANNEL = "kit_wake"
# Who would have to remember more of them looks at all runs in turn.
MOST_NAMES = 10_000
# Between two tries to connect; the database is away, and the scheduler has other things to do.
RECONNECT_SECONDS = 5.0
# A scheduler that is busy never sleeps; so long after they were last looked at, guards are looked at all the same. A little longer than
# Airflow's own sleep, so that one that does sleep looks once.
SERVE_SECONDS = 1.2
# What has a trigger in wake.sql.
TABLES = (
    "task_instance",
    "dag_run",
    "dag",
    "asset_dag_run_queue",
    "partitioned_asset_key_log",
    "connection_test_request",
)
# Whether all triggers are there, and whether this connection is the one that listens, not one of a pooler's.
RINGS = f"SELECT count(*) = {len(TABLES)} FROM pg_trigger WHERE tgname = 'kit_wake'"
HEARS = f"SELECT ({RINGS}) AND pg_backend_pid() = %s"
LIVE = "is_paused IS NOT TRUE AND is_stale IS NOT TRUE AND has_import_errors IS NOT TRUE"
# Runs whose tasks a limit or a breaker lets in by now ring (guards/reading.sql).
SERVE = "SELECT kit.guards_ring()"
# Whether something is under way, the seconds until a schedule's run or a deadline is due, and whether this connection would be rung.
# A run that was due a moment ago may not be made yet.
PROSPECT = f"""
SELECT EXISTS (SELECT 1 FROM dag_run WHERE state = 'queued') OR EXISTS (SELECT 1 FROM dag_run WHERE state = 'running')
           OR EXISTS (SELECT 1 FROM callback WHERE state = 'pending' OR (state = 'queued' AND type = 'executor'))
           OR EXISTS (SELECT 1 FROM dag WHERE {LIVE}
                      AND next_dagrun_create_after BETWEEN clock_timestamp() - interval '1 min' AND clock_timestamp()),
       extract(epoch FROM least(
           (SELECT min(next_dagrun_create_after) FROM dag WHERE {LIVE} AND next_dagrun_create_after > clock_timestamp()),
           (SELECT min(deadline_time) FROM deadline WHERE NOT missed AND deadline_time > clock_timestamp())
       ) - clock_timestamp())::float8,
       ({SERVE}),
       {HEARS.removeprefix("SELECT ")}
"""
# So long after its moment a run is due by the scheduler's clock too, which may be another one than the database's.
DUE_MARGIN = 0.1
# The scheduler has to beat meanwhile (`scheduler_health_check_threshold`, 30 s).
LONGEST_REST = 10.0
WRITTEN_AGAINST = {"_run_scheduler_loop": "d7dd5578d64a"}


class Bell:
    """Sleeps until it is rung. `connect` gives a new connection to the database, `rest` is how long it sleeps while no run is under way."""

    def __init__(
        self, connect: Callable[[], Any], rest: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.connect, self.rest, self.clock = connect, rest, clock
        self.quiet = self.rings = self.missed = False
        self.other = True
        self.unsure, self.names = True, set[str]()
        self.connection: Any = None
        self.next_try = self.serve_at = 0.0

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
        rung, self.missed = bool(self._heard(connection)) or self.missed, False
        while not rung and (left := until - self.clock()) > 0 and readable(connection, left):
            rung = bool(self._heard(connection))
        self.quiet = self.quiet and not rung
        return rung

    def _heard(self, connection: Any) -> set[str]:
        """Return what rang: names of Dag runs, and an empty one for all else; keep the names."""
        connection.poll()
        heard = {one.payload for one in connection.notifies}
        self.names |= heard - {""}
        self.other = self.other or "" in heard
        connection.notifies.clear()
        if len(self.names) > MOST_NAMES:
            self.unsure, self.names = True, set()
        return heard

    def rung(self) -> set[str] | None:
        """Return the Dag runs that rang since it was asked last, as wake.sql names them; None where any may have changed.

        One without a name that is heard here may be for what this loop has done already: then the next sleep is none.
        """
        try:
            connection = self._connected()
            if connection is None or not self.rings:
                return None
            self.missed = "" in self._heard(connection) or self.missed
        except Exception as problem:
            log.warning("the scheduler looks at Dag runs in turn: %s", str(problem).strip())
            self._hang_up()
            return None
        names, self.names = self.names, set()
        unsure, self.unsure = self.unsure, False
        return None if unsure else names

    def only_tasks(self) -> bool:
        """Return whether tasks rang, of runs that `rung` will name, and nothing else did since this was asked last; False where it may have."""
        try:
            connection = self._connected()
            if connection is None or not self.rings:
                return False
            self._heard(connection)
        except Exception as problem:
            log.warning("the scheduler looks for new Dag runs in each loop: %s", str(problem).strip())
            self._hang_up()
            return False
        other, self.other = self.other, False
        return bool(self.names) and not (other or self.unsure)

    def serve(self) -> None:
        """Let guards take up what has come, where they have not for SERVE_SECONDS. For the beginning of a loop, which has no lock yet."""
        if self.clock() < self.serve_at:
            return
        try:
            if connection := self._connected():
                self.serve_at = self.clock() + SERVE_SECONDS
                with connection.cursor() as cursor:
                    cursor.execute(SERVE)
        except Exception as problem:
            log.warning("limits and breakers are looked at when the scheduler sleeps: %s", str(problem).strip())
            self._hang_up()

    def _suitable(self, connection: Any, seconds: float) -> float:
        with connection.cursor() as cursor:
            cursor.execute(PROSPECT, (connection.info.backend_pid,))
            busy, run_due, guard_due, self.rings = cursor.fetchone()
        self.serve_at = self.clock() + SERVE_SECONDS
        # What ended in the last loop may leave something for the next one: only the second quiet look is rest.
        rests, self.quiet = self.quiet and not busy and self.rings, not busy
        longest = max(seconds, self.rest) if rests else seconds
        # A guard goes by the database's clock, which is asked again.
        return min([longest, *(due for due in (run_due and run_due + DUE_MARGIN, guard_due) if due is not None)])

    def _connected(self) -> Any:
        if self.connection is None and self.clock() >= self.next_try:
            self.next_try = self.clock() + RECONNECT_SECONDS
            self.connection = self.connect()
            self.connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
            with self.connection.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
                cursor.execute(HEARS, (self.connection.info.backend_pid,))
                (self.rings,) = cursor.fetchone()
        return self.connection

    def _hang_up(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.connection, self.quiet, self.rings, self.unsure = None, False, False, True


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

    address = conf.get_mandatory_value("database", "sql_alchemy_conn")
    return psycopg2.connect(addresses.libpq(address), connect_timeout=2, application_name="kit wake", **KEEPALIVE)


def install() -> None:
    """Let this process's scheduler be woken."""
    from airflow.jobs import scheduler_job_runner

    if patching.fits("waking the scheduler", scheduler_job_runner.SchedulerJobRunner, WRITTEN_AGAINST):
        bell = Bell(connect, min(float(os.environ.get("KIT_REST_SECONDS") or 0), LONGEST_REST))
        scheduler_job_runner.time = Clock(bell)
        looks.install(bell.rung)
        beginnings.install(bell.only_tasks)
        pace.install(bell.serve)
