"""Runs in: contract tests; why PostgreSQL does not let the controller in: no connection is left, or its login is refused."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_celery_kit.core.health import Finding, State
from airflow_celery_kit.health.database import Journal, Results
from tests.contract.servers import Stack

ON_WHEELS_ALONE = True


@pytest.fixture
def looked(found, controller, monkeypatch) -> Callable[..., Finding]:
    """Looks at the database of results with a login that is given."""

    def look(login: str = "") -> Finding:
        if login:
            address = controller["KIT_RESULTS_CONN"].rpartition("@")[2]
            monkeypatch.setenv("KIT_RESULTS_CONN", f"postgresql://{login}@{address}")
        return found(Results())["results-database"]

    return look


@pytest.fixture
def rules(measured: Stack) -> Iterator[Callable[..., None]]:
    """Puts rules of who may log in before all others, or in their place."""
    file = Path(measured.query("SHOW hba_file")[0][0])
    before = file.read_text()

    def put(text: str, others: bool) -> None:
        file.write_text(f"{text}\n{before if others else ''}")
        measured.query("SELECT pg_reload_conf()")

    yield put
    put("", others=True)


def is_about_secrets(one: Finding) -> bool:
    """Whether what is to be done is about the login."""
    return (one.state, one.vital) == (State.UNHEALTHY, True) and "'kit init'" in one.cure


def is_about_connections(one: Finding) -> bool:
    """Whether what is to be done is about the number of connections."""
    return (one.state, one.vital) == (State.UNHEALTHY, True) and "max_connections" in one.cure


def test_a_wrong_password_is_told_as_that(looked):
    one = looked("kit:wrong")
    assert is_about_secrets(one) and "password authentication failed" in one.why, one


@pytest.mark.parametrize(
    ("change", "back", "is_about", "why"),
    [
        ("ALTER ROLE kit NOLOGIN", "ALTER ROLE kit LOGIN", is_about_secrets, "not permitted to log in"),
        (
            "REVOKE CONNECT ON DATABASE celery FROM kit, public",
            "GRANT CONNECT ON DATABASE celery TO kit",
            is_about_secrets,
            "permission denied for database",
        ),
        (
            "ALTER ROLE kit CONNECTION LIMIT 0",
            "ALTER ROLE kit CONNECTION LIMIT -1",
            is_about_connections,
            "too many connections",
        ),
        (
            "ALTER DATABASE celery CONNECTION LIMIT 0",
            "ALTER DATABASE celery CONNECTION LIMIT -1",
            is_about_connections,
            "too many connections",
        ),
    ],
)
def test_what_the_server_refuses_is_told_as_that(looked, measured, change, back, is_about, why):
    measured.query(change)
    try:
        one = looked()
    finally:
        measured.query(back)
    assert is_about(one) and why in one.why, one


def test_a_login_that_no_rule_is_for_is_told_as_that(looked, rules):
    rules("host all postgres 127.0.0.1/32 scram-sha-256", others=False)
    one = looked()
    rules("", others=True)
    assert is_about_secrets(one) and "pg_hba.conf" in one.why, one


def test_a_role_that_is_not_there_is_told_as_that(looked, rules):
    rules("host all stranger 127.0.0.1/32 trust", others=True)
    one = looked("stranger")
    assert is_about_secrets(one) and "airflow-init" in one.why, one


def test_without_the_journal_tasks_run_whatever_keeps_it_from_being_seen(found, controller, measured, monkeypatch):
    monkeypatch.setenv("KIT_JOURNAL_CONN", controller["KIT_RESULTS_CONN"].replace("kit:", "kit:wrong"))
    refused = found(Journal())["journal-database"]
    monkeypatch.setenv("KIT_JOURNAL_CONN", controller["KIT_RESULTS_CONN"])
    measured.query("ALTER ROLE kit CONNECTION LIMIT 0")
    try:
        none_left = found(Journal())["journal-database"]
    finally:
        measured.query("ALTER ROLE kit CONNECTION LIMIT -1")
    assert [(one.state, one.vital) for one in (refused, none_left)] == [(State.DEGRADED, False)] * 2
    assert "'kit init'" in refused.cure and "max_connections" in none_left.cure
