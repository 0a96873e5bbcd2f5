"""Runs in: the scheduler of an Airflow that has the kit's journal and none of its runtimes, and by hand; makes what airflow-init makes there.

`python -m airflow_celery_kit.scheduler.alone` makes the journal's tables as whoever KIT_JOURNAL_CONN names, with `--role NAME` for another
role that is to write and read them; `--remove` takes out of the metadata database what `airflow db migrate` stumbles over.
"""

import argparse
import hashlib
import logging
import os
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg2
from psycopg2 import sql

from airflow_celery_kit import addresses
from airflow_celery_kit.controller import journal
from airflow_celery_kit.controller.counting import Counting
from airflow_celery_kit.errors import ConfigurationError
from airflow_celery_kit.journal import install as tables
from airflow_celery_kit.journal.teller import ADDRESS, stand_alone
from airflow_celery_kit.knobs import KNOBS
from airflow_celery_kit.scheduler import record, wake

log = logging.getLogger(__name__)

HOUR_SECONDS, AGAIN_SECONDS = 3600.0, 30.0
# No change of Airflow's waits for the triggers longer than this, and none is ended by PostgreSQL because of them (`deadlock_timeout`, 1 s).
PATIENT = "SET LOCAL lock_timeout = '500ms'"
SCHEMA = "DO $$ BEGIN IF to_regnamespace('kit') IS NULL THEN CREATE SCHEMA kit; END IF; END $$"
OURS = "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE tgname LIKE 'kit\\_%' AND NOT tgisinternal"
VERSION = "SELECT obj_description(to_regnamespace('kit'), 'pg_namespace')"
# Nobody takes messages out of the broker here; their tasks do not begin.
FORGET = "DELETE FROM kit.withdrawal WHERE asked_at < now() - interval '1 day'"
GRANTS = """
GRANT USAGE ON SCHEMA journal TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA journal TO {role};
GRANT INSERT ON journal.event TO {role};
GRANT EXECUTE ON FUNCTION journal.make_partitions, journal.prune, journal.prune_graphs, journal.count_up TO {role};
GRANT USAGE ON SCHEMA state TO {role}; GRANT EXECUTE ON FUNCTION state.take, state.finish, state.release, state.prune TO {role};
"""
BY_HAND = "or have its owner run 'python -m airflow_celery_kit.scheduler.alone --role {role}'"
NO_JOURNAL = (
    "KIT_JOURNAL_CONN may not make the journal's tables: let its role create a schema in that database, " + BY_HAND
)
NO_TRIGGERS = "Airflow's role may not make the schema kit with its triggers in the metadata database: let it create a schema there"
NOT_POSTGRES = "no journal is kept: Airflow's metadata database is not PostgreSQL"

Connect = Callable[[], Any]


def make_journal(address: str) -> None:
    """Bring the journal's tables to this version where they are not. Raises ConfigurationError where its role may not."""
    try:
        if not tables.is_migrated(address):
            log.info("the journal's tables are at revision %s", tables.migrate(address, owner=None))
    except Exception as problem:
        if isinstance(getattr(problem, "orig", problem), psycopg2.errors.InsufficientPrivilege):
            raise ConfigurationError(NO_JOURNAL.format(role=role_of(address))) from problem
        raise


def grant(address: str, role: str) -> None:
    """Let another role than the owner write and read the journal, and look after it."""
    with closing(psycopg2.connect(addresses.libpq(address))) as connection, connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL(GRANTS).format(role=sql.Identifier(role)))


def role_of(address: str) -> str:
    """Return the role that an address names, as far as it does."""
    return str(psycopg2.extensions.parse_dsn(addresses.libpq(address)).get("user", "ROLE"))


def make_triggers(connect: Connect) -> None:
    """Let changes in the metadata database leave events, where they do not yet. Raises ConfigurationError where Airflow may not."""
    wanted = tables.outbox()
    version = f"journal {hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    with closing(connect()) as connection, connection, connection.cursor() as cursor:
        cursor.execute(tables.ONE_AT_A_TIME)
        if is_current(cursor, version):
            return
        try:
            cursor.execute(f"{PATIENT}; {SCHEMA}; {wanted}; COMMENT ON SCHEMA kit IS '{version}'")
        except psycopg2.errors.InsufficientPrivilege as problem:
            raise ConfigurationError(NO_TRIGGERS) from problem
        log.info("the metadata database leaves events for the journal")


def is_current(cursor: Any, version: str) -> bool:
    """Return whether the triggers are those of this version, and all there: Airflow's own migrations may drop a table."""
    cursor.execute(VERSION)
    if cursor.fetchone()[0] != version:
        return False
    cursor.execute(OURS)
    return set(tables.TRIGGERS) <= set(cursor.fetchall())


def remove_triggers(connect: Connect) -> None:
    """Let no change leave an event any more; what was left and is not carried on yet stays."""
    with closing(connect()) as connection, connection, connection.cursor() as cursor:
        cursor.execute(OURS)
        for table, name in cursor.fetchall():
            cursor.execute(sql.SQL("DROP TRIGGER {} ON {}").format(sql.Identifier(name), sql.SQL(table)))


class Upkeep:
    """Called before events are carried on: makes what is missing once, counts up what happened to tasks every few seconds,
    makes partitions and takes away what is old once an hour."""

    def __init__(self, address: str, connect: Connect, clock: Callable[[], float] = time.monotonic) -> None:
        self.address, self.connect, self.clock = address, connect, clock
        self.made, self.due = False, float("-inf")
        self.problem: Exception | None = None
        self.counting = Counting(self._journal, clock)

    def __call__(self) -> None:
        """Do what is due. Raises why nothing can be written yet; what fails is tried again after a while."""
        if self.clock() < self.due:
            if self.problem:
                raise self.problem
            return self.counting.turn()
        self.due, self.problem = self.clock() + AGAIN_SECONDS, None
        try:
            self._make()
        except Exception as problem:
            self.problem = problem
            raise
        self.due = self.clock() + HOUR_SECONDS
        self._look_after()

    def _journal(self) -> Any:
        return psycopg2.connect(addresses.libpq(self.address), connect_timeout=5)

    def _make(self) -> None:
        if not self.made:
            make_journal(self.address)
            make_triggers(self.connect)
            self.made = True

    def _look_after(self) -> None:
        """Events are carried on all the same where this fails."""
        try:
            with closing(self._journal()) as connection:
                journal.make_partitions(connection)
                journal.prune_by_setting(connection)
            with closing(self.connect()) as connection, connection, connection.cursor() as cursor:
                cursor.execute(FORGET)
        except Exception as problem:
            log.warning("the journal gets no partitions and keeps what is old: %s", str(problem).strip())


def install() -> None:
    """Keep a journal where its address is the one thing that is set."""
    from airflow.configuration import AIRFLOW_HOME, conf
    from airflow.utils.net import get_hostname

    if not addresses.is_postgres(conf.get_mandatory_value("database", "sql_alchemy_conn")):
        return log.warning(NOT_POSTGRES)
    os.environ.setdefault(journal.DAYS, KNOBS["JOURNAL_DAYS"].default)
    stand_alone(AIRFLOW_HOME, "scheduler", get_hostname())
    record.install(Upkeep(os.environ[ADDRESS], wake.connect))


def main() -> None:
    """Make everything by hand, or take the triggers away."""
    parser = argparse.ArgumentParser(prog="python -m airflow_celery_kit.scheduler.alone")
    parser.add_argument("--role", help="who is to write and read the journal, where that is not who makes it")
    parser.add_argument("--remove", action="store_true", help="take the triggers out of the metadata database")
    given = parser.parse_args()
    if given.remove:
        return remove_triggers(wake.connect)
    address = os.environ[ADDRESS]
    make_journal(address)
    make_triggers(wake.connect)
    if given.role:
        grant(address, given.role)


if __name__ == "__main__":
    main()
