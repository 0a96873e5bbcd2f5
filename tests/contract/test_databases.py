"""airflow-init on a real PostgreSQL: roles, databases and passwords, as often as one likes."""

import psycopg2
import pytest

from airflow_celery_kit import secret_files
from airflow_celery_kit.settings import Settings

STATE = """
SELECT datname, pg_get_userbyid(datdba), has_database_privilege('celery', oid, 'connect'), has_database_privilege('airflow', oid, 'connect')
FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY 1
"""
ROLES = (
    "SELECT rolname, rolcanlogin, rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1"
)


def state(stack) -> list[tuple]:
    """Databases and roles as they are."""
    return stack.query(STATE) + stack.query(ROLES)


def test_each_database_belongs_to_a_role_that_may_connect_to_it_alone(prepared):
    assert state(prepared)[:2] == [("airflow", "airflow", False, True), ("celery", "celery", True, False)]


def test_the_roles_may_log_in_and_nothing_more(prepared):
    roles = {name: (may_log_in, more) for name, may_log_in, *more in prepared.query(ROLES)}
    assert roles.pop("postgres")[1] == [True, True, True]
    assert roles.pop("kit_owner")[0] is False, "nobody logs in as the journal's owner"
    assert set(roles) == {"airflow", "celery", "kit", "journal_reader", "journal_scheduler", "journal_writer"}
    assert {(may_log_in, *more) for may_log_in, more in roles.values()} == {(True, False, False, False)}


def test_a_second_time_changes_nothing(prepared, make_roles):
    before = state(prepared)
    results = {"role": "celery", "database": "celery"}
    prepared.query("CREATE TABLE kept AS SELECT 7 AS n", **results)
    for _ in range(2):
        assert make_roles(prepared).returncode == 0
    assert prepared.query("SELECT n FROM kept", **results) == [(7,)]
    prepared.query("DROP TABLE kept", **results)
    assert state(prepared) == before


@pytest.mark.parametrize("role", ["airflow", "celery", "postgres"])
@pytest.mark.parametrize("password", ["wrong", ""])
def test_a_wrong_password_is_refused(prepared, role, password):
    with pytest.raises(psycopg2.OperationalError, match="password"):
        prepared.query("SELECT 1", role=role, database="celery" if role == "celery" else "airflow", password=password)


def test_a_workers_role_cannot_connect_to_the_metadata_database(prepared):
    assert prepared.query("SELECT current_user::text", role="celery", database="celery") == [("celery",)]
    with pytest.raises(psycopg2.OperationalError, match='permission denied for database "airflow"'):
        prepared.query("SELECT 1", role="celery", database="airflow")


def test_the_metadata_role_cannot_connect_to_the_results(prepared):
    with pytest.raises(psycopg2.OperationalError, match='permission denied for database "celery"'):
        prepared.query("SELECT 1", role="airflow", database="celery")


@pytest.mark.parametrize(
    "statement", ["SELECT * FROM pg_authid", "COPY (SELECT 1) TO PROGRAM 'true'", "SELECT pg_read_file('PG_VERSION')"]
)
def test_a_workers_role_reaches_neither_passwords_nor_programs_nor_files(prepared, statement):
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        prepared.query(statement, role="celery", database="celery")


def test_a_changed_password_takes_effect_and_the_old_one_ends(prepared, make_roles):
    old, results = prepared.settings, {"role": "celery", "database": "celery"}
    new = Settings(old.root, {**old.values, "CELERY_DB_PASSWORD": "quote-free.New~1"})
    try:
        secret_files.write(new)
        assert make_roles(prepared).returncode == 0
        assert prepared.query("SELECT 1", **results, password="quote-free.New~1")
        with pytest.raises(psycopg2.OperationalError, match="password"):
            prepared.query("SELECT 1", **results)
    finally:
        secret_files.write(old)
        assert make_roles(prepared).returncode == 0
    assert prepared.query("SELECT 1", **results) == [(1,)]


def test_the_server_stores_passwords_as_scram(prepared):
    stored = prepared.query("SELECT rolpassword FROM pg_authid WHERE rolcanlogin")
    assert all(word.startswith("SCRAM-SHA-256$") for (word,) in stored)
    assert len(stored) == 7


def test_the_server_is_of_the_one_major_and_runs_the_kits_configuration(prepared):
    found = prepared.query(
        "SELECT current_setting('server_version_num')::int / 10000, current_setting('max_connections')"
    )
    assert found == [(18, "200")]


def test_without_the_superusers_password_nothing_is_made(prepared, make_roles, tmp_path):
    (tmp_path / "pgpass").write_text("*:*:*:postgres:wrong\n")
    (tmp_path / "pgpass").chmod(0o600)
    ended = make_roles(prepared, PGPASSFILE=str(tmp_path / "pgpass"))
    assert ended.returncode != 0
    assert "password authentication failed" in ended.stderr
    assert prepared.settings["POSTGRES_PASSWORD"] not in ended.stderr
