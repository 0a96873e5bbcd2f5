"""Runs in: airflow-init, and the scheduler where the journal is installed alone; makes the journal's database and roles, brings its tables
to this version. Safe to run again.

Nobody logs in as the owner. Writers insert events and nothing else, workers those of workers and tasks alone; readers read.
"""

import contextlib
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql

from airflow_celery_kit import addresses

DATABASE, OWNER = "kit", "kit_owner"
ROLES = ("journal_writer", "journal_scheduler", "journal_reader")
# Each migration only adds: processes of the version before still run. What takes away comes with the version after (ADR 0019).
NEWEST = "head"
OWN = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kit_owner') THEN CREATE ROLE kit_owner NOLOGIN; END IF;
END $$
"""
GRANTS = """
REVOKE ALL ON DATABASE kit FROM PUBLIC;
GRANT CONNECT ON DATABASE kit TO journal_writer, journal_scheduler, journal_reader, kit;
"""
SCHEMA = "CREATE SCHEMA IF NOT EXISTS journal AUTHORIZATION kit_owner; REVOKE CREATE ON SCHEMA public FROM PUBLIC"
HAS_SCHEMA = "SELECT to_regnamespace('journal') IS NOT NULL"
HAS_TABLES = "SELECT to_regclass('journal.migration') IS NOT NULL"
# Several schedulers may start at the same time.
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtext('kit.install'))"
REVISIONS = "SELECT array_agg(version_num) FROM journal.migration"

# What outbox.sql makes.
TRIGGERS = (
    ("task_instance", "kit_journal"),
    ("task_instance", "kit_journal_asked"),
    ("dag_run", "kit_journal"),
    ("dag_run", "kit_journal_asked"),
    ("task_instance", "kit_journal_deleted"),
    ("dag_run", "kit_journal_deleted"),
    ("rendered_task_instance_fields", "kit_journal"),
)

MakeRole = Callable[["psycopg2.extensions.cursor", str, str], None]


def make_database(superuser: str, make_role: MakeRole, secret: Callable[[str], str]) -> None:
    """Make the roles, and the database with its schema. `superuser` is a libpq URI without password."""
    with contextlib.closing(psycopg2.connect(superuser)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(OWN)
            for role in ROLES:
                make_role(cursor, role, secret(f"{role}_password"))
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
            if not cursor.fetchone():
                names = map(sql.Identifier, (DATABASE, OWNER))
                cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(*names))
            cursor.execute(GRANTS)


def migrations() -> Any:
    """Return Alembic's configuration of the journal."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(str(files("airflow_celery_kit.journal"))) / "migrations"))
    return config


def newest() -> str:
    """Return the revision that the tables of this version have, by the names of its migrations: Alembic need not be loaded."""
    return max(
        one.name[1:5]
        for one in files("airflow_celery_kit.journal.migrations.versions").iterdir()
        if one.name.startswith("v0")
    )


def is_migrated(address: str) -> bool:
    """Return whether the tables are those of this version. Raises psycopg2.Error."""
    from alembic.script import ScriptDirectory

    wanted = ScriptDirectory.from_config(migrations()).get_revision(NEWEST).revision
    opened = psycopg2.connect(addresses.libpq(address), connect_timeout=5)
    with contextlib.closing(opened) as connection, connection, connection.cursor() as cursor:
        cursor.execute(HAS_TABLES)
        if not cursor.fetchone()[0]:
            return False
        cursor.execute(REVISIONS)
        return wanted in (cursor.fetchone()[0] or ())


def migrate(address: str, owner: str | None = OWNER) -> str:
    """Apply the migrations and return the revision that the tables have then.

    `address` is libpq's, of a superuser; without `owner` the tables belong to whoever it names.
    """
    from alembic import command
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import create_engine, text

    config = migrations()
    engine = create_engine(addresses.sqlalchemy(address))
    with engine.begin() as connection:
        connection.execute(text(ONE_AT_A_TIME))
        if owner:
            connection.execute(text(SCHEMA))
            connection.execute(text(f"SET ROLE {owner}"))
        elif not connection.scalar(text(HAS_SCHEMA)):
            connection.execute(text("CREATE SCHEMA journal"))
        config.attributes["connection"] = connection
        command.upgrade(config, NEWEST)
        found = MigrationContext.configure(
            connection, opts={"version_table": "migration", "version_table_schema": "journal"}
        ).get_current_revision()
    engine.dispose()
    return str(found)


def outbox() -> str:
    """Return the SQL that lets Airflow's own changes leave events, for the owner of the metadata database."""
    return files("airflow_celery_kit.journal").joinpath("outbox.sql").read_text()


def switch(address: str, on: bool) -> None:
    """Let changes in the metadata database leave events, or not: what nobody carries on would pile up."""
    verb = "ENABLE" if on else "DISABLE"
    with contextlib.closing(psycopg2.connect(address)) as connection, connection, connection.cursor() as cursor:
        if not on:
            cursor.execute("DELETE FROM kit.change")
        cursor.execute(
            f"SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'kit_journal%' AND tgenabled = '{'D' if on else 'O'}'"
        )
        if cursor.fetchone()[0]:
            for table, trigger in TRIGGERS:
                cursor.execute(f"ALTER TABLE {table} {verb} TRIGGER {trigger}")
