"""Runs in: airflow-controller; the lease row in PostgreSQL that says which of several controllers acts.

A lease ends by the clock, so a leader that is frozen loses it, which a session lock would not do. Each take-over raises
the token; an action locks the row with its token in its own transaction, so what an old leader still wants to do is refused.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

LEASE_SECONDS = 10.0

TAKE = """
UPDATE kit.lease SET holder = %(holder)s, token = token + 1, expires_at = clock_timestamp() + %(seconds)s * interval '1 s',
    taken_at = clock_timestamp(), follows = CASE WHEN holder = %(holder)s AND token = %(token)s THEN '' ELSE holder END
WHERE name = %(name)s AND (expires_at < clock_timestamp() OR holder = %(holder)s)
RETURNING token
"""
RENEW = """
UPDATE kit.lease SET expires_at = clock_timestamp() + %(seconds)s * interval '1 s'
WHERE name = %(name)s AND token = %(token)s AND expires_at > clock_timestamp()
"""
GIVE_BACK = "UPDATE kit.lease SET holder = '', expires_at = clock_timestamp() WHERE holder = %s"
HOLD = (
    "SELECT 1 FROM kit.lease WHERE name = %(name)s AND token = %(token)s AND expires_at > clock_timestamp() FOR SHARE"
)


def give_back(connection: Any, holder: str) -> None:
    """Let another one lead at once, and nobody think that this one has died. Raises psycopg2.Error."""
    with connection, connection.cursor() as cursor:
        cursor.execute(GIVE_BACK, (holder,))


class LeaseLostError(Exception):
    """Another controller leads; what was to be done is refused."""


@dataclass
class Lease:
    """One named lease, as one holder sees it; `token` is None while another leads."""

    connection: Any
    name: str
    holder: str
    token: int | None = None

    def hold(self) -> bool:
        """Renew the lease or take it where it has run out; return whether this holder leads now."""
        with self.connection, self.connection.cursor() as cursor:
            if self.token is not None:
                cursor.execute(RENEW, self._values())
                if cursor.rowcount:
                    return True
            cursor.execute(TAKE, self._values())
            row = cursor.fetchone()
        self.token = row[0] if row else None
        return self.token is not None

    @contextmanager
    def fenced(self) -> Iterator[Any]:
        """Give a cursor whose transaction commits only under this lease. Raises LeaseLostError when another leads.

        The row stays locked until the end, so nobody takes over in the middle of an action.
        """
        with self.connection, self.connection.cursor() as cursor:
            cursor.execute(HOLD, self._values())
            if not cursor.fetchone():
                raise LeaseLostError(f"{self.holder} no longer holds {self.name}")
            yield cursor

    def _values(self) -> dict[str, Any]:
        return {"name": self.name, "holder": self.holder, "token": self.token, "seconds": LEASE_SECONDS}
