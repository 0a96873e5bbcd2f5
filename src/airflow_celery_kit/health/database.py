"""Runs in: airflow-controller; one of the stack's PostgreSQL databases: it answers, takes connections, has room on its disk."""

import re
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar

import psycopg2

from airflow_celery_kit.core.health import Cause, Finding, State
from airflow_celery_kit.database_words import plainly
from airflow_celery_kit.health.check import Check

SLOW_SECONDS = 1.0
USED_SHARE, FULL_SHARE = 0.8, 0.95
LITTLE_BYTES, LEAST_BYTES = 1 << 30, 256 << 20
DISK_SECONDS = 60.0
CONNECTIONS = """
SELECT sum(numbackends)::int, current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
FROM pg_stat_database
"""
HAS_DISK = "SELECT to_regprocedure('kit_server.disk_left()') IS NOT NULL"
DISK = "SELECT kit_server.disk_left()"
# What a server says that is there and lets nobody in, or not this one; errors of a login have no code.
REFUSALS = {
    "none left": re.compile("too many (clients|connections)|connection slots are reserved"),
    "login": re.compile(
        "authentication failed|no password supplied|pg_hba.conf|not permitted to log in|permission denied for database"
        '|role "[^"]*" does not exist'
    ),
}
AWAY_CURE = "see 'kit status' and 'kit logs postgres'; once it runs all goes on by itself"
LOGIN_CURE = (
    "'kit init', then 'kit down' and 'kit up': airflow-init gives each role its password and rights; see its log"
)
DISK_CURE = "give PostgreSQL's disk room: shorter JOURNAL_DAYS, 'kit journal prune', a larger volume"


class Database(Check):
    """A round trip on a fresh connection as the controller's own role, connections in use, free disk where PostgreSQL can be asked."""

    causes: ClassVar = {
        "away": Cause(State.UNHEALTHY, "nobody answers, or it lets nobody in", AWAY_CURE, vital=True),
        "login": Cause(
            State.UNHEALTHY, "it refuses the controller's login: its role, password or rights", LOGIN_CURE, vital=True
        ),
        "slow": Cause(
            State.DEGRADED,
            f"the round trip takes more than {SLOW_SECONDS:.0f} s",
            "see what its machine does, and 'kit logs postgres'",
        ),
        "many": Cause(
            State.DEGRADED,
            f"{USED_SHARE:.0%} of its connections are in use",
            "raise max_connections in config/postgresql.conf, or run fewer services",
        ),
        "none left": Cause(
            State.UNHEALTHY,
            f"{FULL_SHARE:.0%} of its connections are in use, or it refuses one more",
            "raise max_connections in config/postgresql.conf, or the role's own limit, and see who holds them",
            vital=True,
        ),
        "disk": Cause(State.DEGRADED, f"less than {LITTLE_BYTES >> 30} GiB of its disk are free", DISK_CURE),
        "no disk": Cause(
            State.UNHEALTHY, f"less than {LEAST_BYTES >> 20} MiB of its disk are free", DISK_CURE, vital=True
        ),
    }

    def __init__(self) -> None:
        self.disk: tuple[float, int | None] = (float("-inf"), None)

    def look(self, open_: Any) -> Iterable[Finding]:
        """Return one finding: the worst."""
        begun = time.monotonic()
        try:
            connection = open_()
            with connection, connection.cursor() as cursor:
                cursor.execute(CONNECTIONS)
                used, most = cursor.fetchone()
                took = time.monotonic() - begun
                disk = self._disk(cursor)
        except psycopg2.Error as problem:
            return [self.ill(refusal(problem), plainly(problem))]
        return [self._of(took, used, most, disk)]

    def _disk(self, cursor: Any) -> int | None:
        """Return the free bytes, asked for now and then: PostgreSQL starts a program for it."""
        at, known = self.disk
        if time.monotonic() - at < DISK_SECONDS:
            return known
        cursor.execute(HAS_DISK)
        if cursor.fetchone()[0]:
            cursor.execute(DISK)
            known = cursor.fetchone()[0]
        self.disk = (time.monotonic(), known)
        return known

    def _of(self, took: float, used: int, most: int, disk: int | None) -> Finding:
        left = "" if disk is None else f", {disk / (1 << 30):.1f} GiB of disk free"
        said = f"answers in {took * 1000:.0f} ms, {used} of {most} connections in use{left}"
        if used >= most * FULL_SHARE:
            return self.ill("none left", said)
        if disk is not None and disk < LITTLE_BYTES:
            return self.ill("no disk" if disk < LEAST_BYTES else "disk", said)
        if used >= most * USED_SHARE:
            return self.ill("many", said)
        return self.ill("slow", said) if took > SLOW_SECONDS else self.well(said)


class Metadata(Database):
    """Airflow's metadata database, by which everything is decided."""

    name = "metadata-database"
    needs = ("open_metadata",)


class Results(Database):
    """The database of Celery's results, by which the executor knows what has ended."""

    name = "results-database"
    needs = ("open_results",)


class Journal(Database):
    """The journal's database; while it is away, events wait on disk, and tasks run."""

    name = "journal-database"
    needs = ("open_journal",)
    causes: ClassVar = Database.causes | {
        name: replace(Database.causes[name], state=State.DEGRADED, vital=False) for name in ("away", *REFUSALS)
    }
    hangs = State.DEGRADED


def refusal(problem: Exception) -> str:
    """Return the cause of a connection that could not be had."""
    return next((cause for cause, words in REFUSALS.items() if words.search(str(problem))), "away")
