"""Runs in: workers, which store results, and the scheduler, which reads them in each loop; Celery's database backend with less to do.

Celery makes a new engine, with a new connection, for each access of a process that was not forked, as the scheduler is; and reads a row
before it writes it. Here a process keeps one engine, and a result is one statement. Named in `override_backends` (Celery's settings).
"""

import os
from typing import Any

from celery.backends.database import DatabaseBackend, retry, session_cleanup
from celery.backends.database.session import SessionManager
from sqlalchemy.dialects.postgresql import insert

KEYS = frozenset({"id", "task_id"})
# The provider empties Celery's own options. A connection that was cut is noticed before it is used, a frozen one after about 20 s
# (SQLAlchemy, create_engine; libpq, connection parameters).
DATABASE_OPTIONS = {
    "pool_pre_ping": True,
    "pool_recycle": 3600,
    "connect_args": {
        "connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 2, "tcp_user_timeout": 20_000,
    },
}  # fmt: skip


class OneEngine(SessionManager):
    """Keeps one engine a process; one that was made before a fork stays with the parent."""

    def __init__(self) -> None:
        super().__init__()
        self.forked = True
        self.pid = os.getpid()

    def get_engine(self, dburi: str, **options: Any) -> Any:
        """Return this process's engine for an address."""
        if self.pid != os.getpid():
            for inherited in self._engines.values():
                inherited.dispose(close=False)
            self._engines.clear()
            self._sessions.clear()
            self.pid = os.getpid()
        return super().get_engine(dburi, **options)


class OneStatement(DatabaseBackend):
    """Celery's results in PostgreSQL, each stored by one statement. Airflow asks for the states of many in one query."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.session_manager = OneEngine()

    @retry
    def _store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **_: Any
    ) -> None:
        """Store what Celery would store; a column that it has nothing for becomes NULL, as with Celery."""
        told = self._get_result_meta(
            result=result, state=state, traceback=traceback, request=request, format_date=False, encode=True
        )
        table = self.task_cls.__table__
        values = {column.name: told.get(column.name) for column in table.columns if column.name not in KEYS}
        statement = insert(table).values(task_id=task_id, **values)
        session = self.ResultSession()
        with session_cleanup(session):
            session.execute(statement.on_conflict_do_update(index_elements=[table.c.task_id], set_=values))
            session.commit()
