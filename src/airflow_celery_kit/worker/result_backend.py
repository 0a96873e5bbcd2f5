"""Runs in: workers, which store results, and the scheduler, which reads them in each loop; Celery's database backend with less to do.

Celery makes a new engine, with a new connection, for each access of a process that was not forked, as the scheduler is; and reads a row
before it writes it. Here a process keeps one engine, and a result is one statement. `chosen` is named in `override_backends` (Celery's
settings).
"""

import os
from functools import cached_property
from typing import Any

from celery.backends import database
from celery.backends.database import DatabaseBackend, retry
from celery.backends.database.session import SessionManager
from sqlalchemy import bindparam
from sqlalchemy.dialects.postgresql import insert

from airflow_celery_kit import patching
from airflow_celery_kit.keepalive import KEEPALIVE

WRITTEN_AGAINST = {
    "DatabaseBackend._store_result": "5cff85473548",
    "SessionManager.get_engine": "342c52568c83",
    "SessionManager.invalidate": "d321a9ce437e",
}
KEYS = frozenset({"id", "task_id"})
# The provider empties Celery's own options. A connection that was cut is noticed before it is used, a frozen one after about 20 s
# (SQLAlchemy, create_engine; libpq, connection parameters).
DATABASE_OPTIONS = {
    "pool_pre_ping": True,
    "pool_recycle": 3600,
    "connect_args": {"connect_timeout": 5, **KEEPALIVE},
}
# Celery repeats a write that fails (below, on a new connection), and the same row may be written twice: no look before is needed.
UNASKED = {"pool_pre_ping": False}


class OneEngine(SessionManager):
    """Keeps one engine a process; one that was made before a fork stays with the parent."""

    def __init__(self) -> None:
        super().__init__()
        self.forked = True
        self.pid = os.getpid()

    def get_engine(self, dburi: str, **options: Any) -> Any:
        """Return this process's engine for an address."""
        self.leave_to_the_parent()
        return super().get_engine(dburi, **options)

    def invalidate(self, dburi: str) -> None:
        """Forget this process's engine for an address, with its connections."""
        self.leave_to_the_parent()
        super().invalidate(dburi)

    def leave_to_the_parent(self) -> None:
        """Forget engines that were made before a fork, whose connections go on being the parent's."""
        if self.pid == os.getpid():
            return
        for inherited in self._engines.values():
            inherited.dispose(close=False)
        self._engines.clear()
        self._sessions.clear()
        self.pid = os.getpid()


class OneStatement(DatabaseBackend):
    """Celery's results in PostgreSQL, each stored by one statement. Airflow asks for the states of many in one query."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.session_manager, self.writing = OneEngine(), OneEngine()

    @retry
    def _store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **_: Any
    ) -> None:
        """Store what Celery would store; a column that it has nothing for becomes NULL, as with Celery."""
        told = self._get_result_meta(
            result=result, state=state, traceback=traceback, request=request, format_date=False, encode=True
        )
        values = {name: told.get(name) for name in self.columns}
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(self.statement, {"task_id": task_id, **values})

    def on_backend_retryable_error(self, exc: Exception) -> None:
        """Repeat what failed on a new connection."""
        for manager in (self.session_manager, self.writing):
            manager.invalidate(self.url)

    @property
    def engine(self) -> Any:
        """This process's engine for writing."""
        return self.writing.get_engine(self.url, **{**self.engine_options, **UNASKED})

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """What a result has besides its keys."""
        return tuple(column.name for column in self.task_cls.__table__.columns if column.name not in KEYS)

    @cached_property
    def statement(self) -> Any:
        """Insert a row, or change the one that is there."""
        table = self.task_cls.__table__
        new = insert(table).values({name: bindparam(name) for name in ("task_id", *self.columns)})
        return new.on_conflict_do_update(
            index_elements=[table.c.task_id], set_={name: new.excluded[name] for name in self.columns}
        )


def chosen(*args: Any, **options: Any) -> DatabaseBackend:
    """Return the backend of a Celery app: Celery's own where Celery's code is not the one that this was written against."""
    known = patching.fits("one statement for a result", database, WRITTEN_AGAINST)
    return (OneStatement if known else DatabaseBackend)(*args, **options)
