"""Runs in: airflow-triggerer, in a process of its own; Airflow's tables by age.

Which rows are old is Airflow's to say (`airflow.utils.db_cleanup`, the code of `airflow db clean`); what is in use stays on top of that
(in_use.py). The rows go by a delete of the kit's own: Airflow copies each batch into a table first, drops that one again, and
removes by key what may be in use by then.
"""

from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, column, func, inspect, literal_column, table, text, tuple_

from airflow_celery_kit import patching
from airflow_celery_kit.triggerer.in_use import ENDED, GONE

BATCH = 500
# Rows that one search finds; whether each is still old and in nobody's use is asked again with its batch, which reads no others.
SEARCH = 20_000
WRITTEN_AGAINST = {"_build_query": "b5f572b9000f", "_TableConfig": "2ef8bec29918"}
# By limit. What depends on a row comes before it, so that no row takes many others with it in one transaction.
TABLES = {
    "xcoms": ("xcom",),
    "runs": (
        "task_instance_history", "task_reschedule", "task_state_store", "task_instance", "deadline", "callback", "dag_run", "trigger",
        "asset_event", "partitioned_asset_key_log", "dag_version",
    ),
    "audit": ("log",),
    "jobs": ("job", "revoked_token", "connection_test_request"),
    "sessions": ("session",),
}  # fmt: skip
# Runs that ended stay so until the transaction has: whoever runs one again waits for a moment, or was quicker.
HOLD = f"SELECT dag_id, run_id FROM dag_run WHERE state IN {ENDED} AND (dag_id, run_id) IN :runs FOR SHARE SKIP LOCKED"


@dataclass(frozen=True)
class Old:
    """How many rows of a table are old and in nobody's use, their bytes, and the age of the oldest of them in seconds."""

    rows: int
    bytes: int
    oldest_seconds: float


class Table:
    """One table of Airflow's, and what of it is older than a moment. Raises KeyError for a table that Airflow does not clean here."""

    def __init__(self, name: str, before: datetime, connection: Any) -> None:
        from airflow.utils.db_cleanup import config_dict

        self.name, self.before, self.connection = name, before, connection
        config = copy(config_dict[name])
        if filter_ := GONE.get(name):
            stays = text(filter_).bindparams(before=before) if ":before" in filter_ else text(filter_)
            config.extra_filters = [*(config.extra_filters or ()), stays]
        self.config = config
        self.waiting: list[tuple[Any, ...]] = []
        self.keys = inspect(connection.engine).get_pk_constraint(name)["constrained_columns"]
        self.of_runs = "run_id" in {one["name"] for one in inspect(connection.engine).get_columns(name)}

    def old(self) -> Old:
        """Count. Raises SQLAlchemyError."""
        recency = literal_column(f"base.{self.config.recency_column_name}")
        age = func.extract("epoch", func.clock_timestamp() - func.min(recency))
        size = func.coalesce(func.sum(literal_column("pg_column_size(base.*)")), 0)
        with self.connection.begin():
            rows, found, oldest = self.connection.execute(self._query(func.count(), size, age)).one()
        return Old(rows, int(found), float(oldest or 0))

    def remove_some(self) -> tuple[int, int]:
        """Remove a batch in a transaction of its own; return how many rows and bytes. Raises SQLAlchemyError, then nothing is changed."""
        self.waiting = self.waiting or self._search()
        some, self.waiting = self.waiting[:BATCH], self.waiting[BATCH:]
        if not some:
            return 0, 0
        with self.connection.begin():
            picked = list(self._picked(some))
            if picked:
                keys = tuple_(*map(column, self.keys))
                gone = table(self.name, *map(column, self.keys)).delete().where(keys.in_([key for key, _ in picked]))
                self.connection.execute(gone)
        return len(picked), sum(size for _, size in picked)

    def _search(self) -> list[tuple[Any, ...]]:
        with self.connection.begin():
            return [tuple(row) for row in self.connection.execute(self._query(*self._columns(self.keys)).limit(SEARCH))]

    def _picked(self, some: list[tuple[Any, ...]]) -> Iterator[tuple[tuple[Any, ...], int]]:
        columns = self._columns([*self.keys, *(("dag_id", "run_id") if self.of_runs else ())])
        query = self._query(*columns, literal_column("pg_column_size(base.*)").label("size"))
        query = query.where(tuple_(*(literal_column(f"base.{name}") for name in self.keys)).in_(some))
        rows = self.connection.execute(query.with_for_update(of=table("base"), skip_locked=True)).all()
        held = self._held({tuple(row[-3:-1]) for row in rows}) if self.of_runs and self.name != "dag_run" else None
        for row in rows:
            # A row of the audit log may name a run that is gone.
            if held is None or tuple(row[-3:-1]) in held:
                yield tuple(row[: len(self.keys)]), row[-1]

    def _columns(self, names: Iterable[str]) -> list[Any]:
        return [literal_column(f"base.{name}").label(f"c{at}") for at, name in enumerate(names)]

    def _held(self, runs: set[tuple[str, str]]) -> set[tuple[str, str]]:
        if self.name == "log" or not runs:
            return runs
        names = text(HOLD).bindparams(bindparam("runs", list(runs), expanding=True))
        return {(dag, run) for dag, run in self.connection.execute(names)}

    def _query(self, *columns: Any) -> Any:
        from airflow.utils.db_cleanup import _build_query

        query = _build_query(**self.config.__dict__, clean_before_timestamp=self.before, session=None)
        return query.with_only_columns(*columns, maintain_column_froms=True)


def fits() -> bool:
    """Return whether Airflow's code is the one that this was written against; a warning says where it is not."""
    from airflow.utils import db_cleanup

    return patching.fits("cleaning Airflow's tables", db_cleanup, WRITTEN_AGAINST)


def is_known(name: str) -> bool:
    """Return whether Airflow cleans this table in this deployment: sessions are in the database only where it says so."""
    from airflow.utils.db_cleanup import config_dict

    return name in config_dict
