"""Runs in: airflow-controller; a PostgreSQL database that tasks use."""

import time
from collections.abc import Iterable
from typing import ClassVar

import psycopg2
from psycopg2.extensions import parse_dsn

from airflow_celery_kit import addresses
from airflow_celery_kit.core.health import Cause, Finding, State
from airflow_celery_kit.health.check import Check
from airflow_celery_kit.keepalive import KEEPALIVE

# Nothing of the address is repeated: what cannot be read may be the password.
UNREADABLE = "its address cannot be read: in user and password write %25, %40, %2F and %3A for %, @, / and :"
ASK = "ask those who run it"


class Reachable(Check):
    """A login at `address`, libpq's or SQLAlchemy's, and a round trip. The password is best in the file that `PGPASSFILE` names.

    `seconds` is how long that may take. Raises ValueError for an address that cannot be read.
    """

    causes: ClassVar = {
        "refused": Cause(
            State.GONE,
            "there is no such database or role, or the password is wrong",
            f"look at the address and its login; {ASK}",
        ),
        "away": Cause(State.UNHEALTHY, "nobody answers in time", f"look at the network; {ASK}"),
        "slow": Cause(State.DEGRADED, "it takes more than 80% of the time that it may take", ASK),
    }

    def __init__(self, name: str, address: str, seconds: float = 5.0) -> None:
        self.name = name  # type: ignore[misc]
        self.address, self.seconds, self.deadline = readable(addresses.libpq(address)), seconds, seconds + 1.0

    def look(self) -> Iterable[Finding]:
        """Return one finding."""
        begun = time.monotonic()
        try:
            connection = psycopg2.connect(self.address, **KEEPALIVE | {"connect_timeout": max(2, round(self.seconds))})
            try:
                with connection, connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
            finally:
                connection.close()
        except psycopg2.Error as problem:
            said = " ".join(str(problem).split())
            refused = "authentication failed" in said or "does not exist" in said
            return [self.ill("refused" if refused else "away", said)]
        took = time.monotonic() - begun
        said = f"answers in {took * 1000:.0f} ms"
        return [self.ill("slow", said) if took > self.seconds * 0.8 else self.well(said)]


def readable(address: str) -> str:
    """Return an address that libpq reads as it is meant, without a part of the password for a host or a port. Raises ValueError."""
    try:
        parts = parse_dsn(address)
    except psycopg2.Error:
        raise ValueError(UNREADABLE) from None
    if "@" in parts.get("host", "") or not all(one.isdigit() for one in parts.get("port", "5432").split(",")):
        raise ValueError(UNREADABLE)
    return address
