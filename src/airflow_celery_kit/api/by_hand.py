"""Runs in: airflow-apiserver; tells the database that what a request changes is a person's word: what is marked as failed so opens no breaker.

Requests of tasks come by another way (`/execution`) and say what became of them. guards/sending.sql reads the word.
"""

from contextvars import ContextVar
from typing import Any

CHANGES = {"POST", "PUT", "PATCH", "DELETE"}
# Airflow's API for people and programs, and that of its page.
PEOPLE = ("/api/v2/", "/ui/")
SAY = "SELECT set_config('kit.by_hand', 'somebody', true)"
by_hand: ContextVar[bool] = ContextVar("kit_by_hand", default=False)


class ByHand:
    """An ASGI layer that knows requests by which people change something; everything passes through it."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass on one request."""
        if not (scope["type"] == "http" and scope["method"] in CHANGES and is_of_people(scope)):
            await self.app(scope, receive, send)
            return
        before = by_hand.set(True)
        try:
            await self.app(scope, receive, send)
        finally:
            by_hand.reset(before)


def is_of_people(scope: Any) -> bool:
    """Return whether a request goes to what people use; Airflow may be reached below a path, which a proxy leaves or takes away."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")).startswith(PEOPLE)


def install() -> None:
    """Have all sessions of this process say it at the begin of each transaction of such a request."""
    from sqlalchemy import event
    from sqlalchemy.orm import Session

    event.listen(Session, "after_begin", _say)


def _say(_session: Any, _transaction: Any, connection: Any) -> None:
    if by_hand.get() and connection.dialect.name == "postgresql":
        connection.exec_driver_sql(SAY)
