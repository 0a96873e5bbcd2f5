"""Runs in: airflow-init; makes roles, databases, schema and the first administrator, then ends. Safe to run again.

Passwords come from files below `KIT_SECRETS` and never stand in arguments, which `ps` shows.
"""

import contextlib
import importlib.metadata
import importlib.resources
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import encrypt_password

from airflow_celery_kit import housekeeping, rules
from airflow_celery_kit.controller import pools
from airflow_celery_kit.core.guards.rules import Rules
from airflow_celery_kit.core.ordering import table
from airflow_celery_kit.core.routing import Routing, pool_of
from airflow_celery_kit.errors import ConfigurationError
from airflow_celery_kit.guards import install as guards
from airflow_celery_kit.guards import limits_file
from airflow_celery_kit.journal import install as journal
from airflow_celery_kit.journal.teller import is_on
from airflow_celery_kit.runtimes.grants import DISK, METADATA_GRANTS, RESULTS_GRANTS
from airflow_celery_kit.scheduler import wake

# Database and owning role have one name; a worker is given the second one only.
DATABASES = ("airflow", "celery")


# The controller's role owns no database. A transaction that it leaves open, because it was frozen, ends by itself.
CONTROLLER = "kit"
CONTROLLER_SETTINGS = {
    "idle_in_transaction_session_timeout": "5s",
    "statement_timeout": "10s",
    "lock_timeout": "3s",
}
# What a prepared database was prepared for stands in its comment, with the data itself.
VERSIONED = ("apache-airflow-core", "apache-airflow-providers-fab")
# Raised with every change of tables, triggers and rights in Airflow's and Celery's databases.
KIT_SCHEMA = 21
# PostgreSQL changes no column that a trigger names; add_to_databases() makes them again.
WITHOUT_TRIGGERS = "; ".join(
    f"DROP TRIGGER IF EXISTS {name} ON {{table}}" for name in ("kit_wake", "kit_journal", "kit_hold", *guards.TRIGGERS)
)
STAMP_QUERY = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'airflow'"


def uri(role: str, database: str) -> str:
    """Return a libpq URI of the server that Airflow's metadata address names."""
    server = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].rpartition("@")[2].rpartition("/")[0]
    return f"postgresql://{role}@{server}/{database}"


def secret(name: str) -> str:
    """Return the secret in file `name`. Raises OSError when this service was not given it."""
    return (Path(os.environ["KIT_SECRETS"]) / name).read_text().strip()


def make_role(cursor: "psycopg2.extensions.cursor", name: str, password: str) -> None:
    """Create the login role `name`, or give it the present password; the server and its log see the verifier alone."""
    verifier = encrypt_password(password, name, scope=cursor.connection, algorithm="scram-sha-256")
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,))
    verb = "ALTER" if cursor.fetchone() else "CREATE"
    statement = f"{verb} ROLE {{}} LOGIN PASSWORD %s"
    cursor.execute(sql.SQL(statement).format(sql.Identifier(name)), (verifier,))


def make_database(cursor: "psycopg2.extensions.cursor", name: str) -> None:
    """Create database `name` for the role of that name; nobody else may connect to it."""
    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
    identifier = sql.Identifier(name)
    if not cursor.fetchone():
        cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(identifier, identifier))
    cursor.execute(sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC").format(identifier))


def make_roles_and_databases(superuser_uri: str) -> None:
    """Make every role and database of `DATABASES`. `superuser_uri` is a libpq URI without password."""
    connection = psycopg2.connect(superuser_uri)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            for name in DATABASES:
                make_role(cursor, name, secret(f"{name}_db_password"))
                make_database(cursor, name)
            make_role(cursor, CONTROLLER, secret("kit_db_password"))
            for name, value in CONTROLLER_SETTINGS.items():
                setting = sql.SQL("ALTER ROLE {} SET {} = {}")
                cursor.execute(setting.format(sql.Identifier(CONTROLLER), sql.Identifier(name), sql.Literal(value)))
            for name in DATABASES:
                grant = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
                cursor.execute(grant.format(sql.Identifier(name), sql.Identifier(CONTROLLER)))
    finally:
        connection.close()


def versions() -> str:
    """Return for which Airflow this installation prepares a database."""
    return "prepared for " + " ".join(f"{name} {importlib.metadata.version(name)}" for name in VERSIONED)


def stamp_of(administrator: str) -> str:
    """Return what a database prepared by this installation has as its comment."""
    return f"{versions()}, administrator {administrator}, kit {KIT_SCHEMA}, journal {journal.newest()}, schema "


def is_of_this_airflow() -> bool:
    """Return whether the tables are those of the installed Airflow already."""
    with contextlib.closing(psycopg2.connect(uri("airflow", "airflow"))) as connection, connection.cursor() as cursor:
        cursor.execute(STAMP_QUERY)
        return str(cursor.fetchone()[0] or "").startswith(f"{versions()},")


def is_prepared(administrator: str) -> bool:
    """Return whether nothing is left to do: same versions as last time, and the schema and user that were made then."""
    with contextlib.closing(psycopg2.connect(uri("airflow", "airflow"))) as connection, connection.cursor() as cursor:
        cursor.execute(STAMP_QUERY)
        stamp = cursor.fetchone()[0] or ""
        try:
            cursor.execute("SELECT version_num FROM alembic_version")
            schema = cursor.fetchone()[0]
            cursor.execute("SELECT 1 FROM ab_user LIMIT 1")
            has_users = cursor.fetchone() is not None
            cursor.execute(wake.RINGS)
            wakes = cursor.fetchone()[0]
        except (psycopg2.errors.UndefinedTable, TypeError):
            return False
    return has_users and wakes and stamp == stamp_of(administrator) + schema


def write_stamp(administrator: str) -> None:
    """Note in the database's comment what it was prepared for."""
    with (
        contextlib.closing(psycopg2.connect(uri("airflow", "airflow"))) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT version_num FROM alembic_version")
        cursor.execute("COMMENT ON DATABASE airflow IS %s", (stamp_of(administrator) + cursor.fetchone()[0],))


def make_result_tables() -> None:
    """Make Celery's tables before its workers do, which would all try at the same time."""
    from celery.backends.database.models import ResultModelBase
    from sqlalchemy import create_engine

    ResultModelBase.metadata.create_all(create_engine(uri("celery", "celery")))


def wake_triggers() -> str:
    """Return the SQL that lets the scheduler be woken."""
    return importlib.resources.files("airflow_celery_kit.scheduler").joinpath("wake.sql").read_text()


def add_to_databases() -> None:
    """Give the controller's role the few rights that it needs, and let the scheduler be woken, as the owner of each database."""
    triggers = wake_triggers() + journal.outbox() + guards.statements()
    for name, grants in (("airflow", METADATA_GRANTS + triggers), ("celery", RESULTS_GRANTS)):
        with (
            contextlib.closing(psycopg2.connect(uri(name, name))) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(grants)
    with (
        contextlib.closing(psycopg2.connect(uri("postgres", "airflow"))) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(DISK())


def check_order(environment: Mapping[str, str] = os.environ) -> Routing:
    """Return the rules of config/routing.yaml. Raises SystemExit with one line when they, the policy, or config/housekeeping.yaml cannot be used."""
    sys.path.append(environment.get("AIRFLOW__CORE__PLUGINS_FOLDER", ""))
    try:
        found = rules.from_environment(environment)
        housekeeping.from_environment(environment)
    except ConfigurationError as problem:
        raise SystemExit(str(problem)) from problem
    for name in {
        environment.get("KIT_PRIORITY_POLICY", "airflow"),
        *(rule.policy or "airflow" for rule in found.rules),
    }:
        try:
            table.policy(name)
        except Exception as problem:
            raise SystemExit(f"priority policy {name} cannot be used: {problem}") from problem
    return found


def check_limits(environment: Mapping[str, str] = os.environ) -> Rules:
    """Return the rules of config/limits.yaml. Raises SystemExit with one line when they cannot be used."""
    path = limits_file.path_from(environment)
    try:
        return limits_file.load(path) if path else Rules()
    except ConfigurationError as problem:
        raise SystemExit(str(problem)) from problem


def apply_limits(limits: Rules) -> None:
    """Put them in force, also where no controller will."""
    with (
        contextlib.closing(psycopg2.connect(uri("airflow", "airflow"))) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        limits_file.apply(limits, cursor)


def make_pools(routing: Routing) -> None:
    """Make a pool for each queue, of the size of all that may run; the controller holds it near the slots from its first look on."""
    with (
        contextlib.closing(psycopg2.connect(uri("airflow", "airflow"))) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        for queue in routing.queues:
            values = {"pool": pool_of(queue), "slots": int(os.environ["AIRFLOW__CORE__PARALLELISM"])}
            cursor.execute(pools.MAKE, values)
            cursor.execute(pools.RESIZE, values)


def drop_triggers() -> None:
    """Take the triggers away; until they are back nothing is held, woken or on record."""
    with contextlib.closing(psycopg2.connect(uri("airflow", "airflow"))) as connection:
        # One lock at a time: a scheduler of before may still be running.
        for table in dict.fromkeys((*wake.TABLES, *guards.TABLES, *(table for table, _ in journal.TRIGGERS))):
            with connection, connection.cursor() as cursor:
                cursor.execute(WITHOUT_TRIGGERS.format(table=table))


def migrate() -> None:
    """Bring the metadata database to the schema of the installed Airflow and its login manager. What fails leaves the triggers there."""
    if not is_of_this_airflow():
        drop_triggers()
    try:
        migrate_airflow()
    except BaseException:
        with contextlib.suppress(psycopg2.Error):
            add_to_databases()
        raise


def migrate_airflow() -> None:
    """Run Airflow's own migration."""
    from airflow.cli.cli_parser import get_parser

    arguments = get_parser().parse_args(["db", "migrate"])
    arguments.func(arguments)


def make_administrator(name: str) -> None:
    """Create administrator `name` where there is no such user; a password changed later in the UI stays."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        security = builder.sm
        if security.find_user(name):
            return
        role = security.find_role("Admin")
        if not security.add_user(name, name, "administrator", f"{name}@localhost", role, secret("admin_password")):
            raise SystemExit(f"could not create the administrator {name}")


def main() -> None:
    """Prepare everything that the other services need; importing Airflow is left out when all of it is there."""
    administrator = os.environ["AIRFLOW_ADMIN_USER"]
    routing, limits = check_order(), check_limits()
    make_roles_and_databases(uri("postgres", "postgres"))
    journal.make_database(uri("postgres", "postgres"), make_role, secret)
    if not is_prepared(administrator):
        migrate()
        make_administrator(administrator)
        make_result_tables()
        add_to_databases()
        journal.migrate(uri("postgres", journal.DATABASE))
        write_stamp(administrator)
    make_pools(routing)
    apply_limits(limits)
    journal.switch(uri("airflow", "airflow"), is_on(os.environ))
    print("databases, schema and administrator are ready")  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
