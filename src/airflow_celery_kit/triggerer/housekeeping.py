"""Runs in: airflow-triggerer, in a process of its own; one round of housekeeping in Airflow's tables and logs.

`python -m airflow_celery_kit.triggerer.housekeeping` does it and prints it as JSON; `--dry-run` changes nothing; `--asked` does what the
controller asked for, with the limits that it has in force.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from math import isinf
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extras import Json

from airflow_celery_kit import rounds
from airflow_celery_kit.addresses import libpq
from airflow_celery_kit.core.housekeeping import Limits
from airflow_celery_kit.database_words import plainly
from airflow_celery_kit.errors import ConfigurationError
from airflow_celery_kit.housekeeping import from_environment
from airflow_celery_kit.keepalive import KEEPALIVE
from airflow_celery_kit.rounds import Facts, Round

PART = "airflow"
SECONDS, REST_SECONDS = 300.0, 0.2
# Nobody waits for it longer than that, and it waits for nobody.
SESSION = "-c lock_timeout=1s -c statement_timeout=30s -c idle_in_transaction_session_timeout=30s"
READ_ONLY = f"{SESSION} -c default_transaction_read_only=on"
# Held for as long as its connection lives.
ALONE = "SELECT pg_try_advisory_lock(hashtext('kit.housekeeping'))"
LEAST_URGENT = 10


class Busy(Exception):
    """Another round is under way."""


def address() -> str:
    """Return where the metadata database is, as Airflow says."""
    from airflow.configuration import conf

    return conf.get_mandatory_value("database", "sql_alchemy_conn")


@contextmanager
def opened(dry: bool) -> Iterator[Any]:
    """Give a connection to the metadata database that keeps other rounds out. Raises Busy, psycopg2.Error."""
    options = READ_ONLY if dry else SESSION
    made = psycopg2.connect(
        libpq(address()), connect_timeout=5, options=options, application_name="kit housekeeping", **KEEPALIVE
    )
    with closing(made) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(ALONE)
            if not dry and not cursor.fetchone()[0]:
                raise Busy
            yield cursor


def sweep_tables(round_: Round) -> None:
    """Remove old rows of Airflow's tables, one table after the other; a table that cannot be cleaned is noted. Raises SQLAlchemyError."""
    from sqlalchemy import create_engine

    from airflow_celery_kit.triggerer import tables

    if not tables.fits():
        round_.errors.append("Airflow's code is not the one that this was written for: its tables are left alone")
        return
    engine = create_engine(address(), connect_args={"options": READ_ONLY if round_.dry else SESSION})
    with engine.connect() as connection:
        for limit, names in tables.TABLES.items():
            age = round_.limits[limit]
            if not isinf(age):
                before = datetime.now(UTC) - timedelta(seconds=age)
                for name in filter(tables.is_known, names):
                    sweep_table(tables.Table(name, before, connection), limit, round_)
    engine.dispose()


def sweep_table(table: Any, limit: str, round_: Round) -> None:
    """Remove old rows of one table. One that others hold is left to the next round."""
    from sqlalchemy.exc import SQLAlchemyError

    if not round_.goes_on():
        return
    try:
        old = table.old()
        round_.remove(round_.found(table.name, limit, old.rows, old.bytes, old.oldest_seconds), table.remove_some)
    except SQLAlchemyError as problem:
        round_.errors.append(f"{table.name}: {str(getattr(problem, 'orig', problem)).strip().splitlines()[0]}")


def sweep_logs(cursor: Any, round_: Round) -> Facts:
    """Remove old logs; return what `logs.sweep` does, nothing where they are left alone. Raises psycopg2.Error."""
    from airflow.configuration import conf

    from airflow_celery_kit.triggerer import logs

    if not conf.get("logging", "log_filename_template").startswith(logs.NAMES):
        round_.errors.append("logs have names of your own (log_filename_template): nobody can tell whose they are")
        return {}
    try:
        return logs.sweep(Path(conf.get_mandatory_value("logging", "base_log_folder")), logs.busy_runs(cursor), round_)
    except OSError as problem:
        round_.errors.append(f"logs: {problem}")
        return {}


def once(limits: Limits | None, dry: bool) -> Facts:
    """Do a round, with the limits that the controller has in force where none are given. Raises Busy, psycopg2.Error."""
    with opened(dry) as cursor:
        before = rounds.read(cursor)
        limits = limits or Limits(before.get("limits", {}))
        was = before.get(PART, {})
        round_ = Round(limits, dry, SECONDS, REST_SECONDS)
        if not dry:
            # A round that dies is not begun again at once; until one ends, the last one's end and errors are what is known.
            write(cursor, {**was, "begun_at": round_.begun_at, "complete": False})
        disk = sweep_logs(cursor, round_)
        sweep_tables(round_)
        found = round_.facts(was) | {"disk": disk}
        if not dry:
            write(cursor, found)
    return found


def write(cursor: Any, facts: Facts) -> None:
    """Write this part of the row. Raises psycopg2.Error."""
    cursor.execute(rounds.WRITE, (Json({PART: facts}),))


def main(arguments: list[str]) -> int:
    """Print what this part of a round removes, or would; return 1 with the reason when it cannot be done."""
    os.nice(LEAST_URGENT)
    try:
        print(json.dumps(once(None if "--asked" in arguments else from_environment(), "--dry-run" in arguments)))  # noqa: T201
    except ConfigurationError as problem:
        print(problem, file=sys.stderr)  # noqa: T201
        return problem.exit_code
    except Busy:
        print("another round is under way: call again in some minutes", file=sys.stderr)  # noqa: T201
        return 1
    except psycopg2.Error as problem:
        print(f"the metadata database cannot be seen, see 'kit status': {plainly(problem)}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
