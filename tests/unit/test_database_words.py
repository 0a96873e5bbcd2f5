"""What PostgreSQL refuses is told in one line, and without the statement."""

import psycopg2
import pytest

from airflow_celery_kit.database_words import plainly

AT = 'connection to server at "127.0.0.1", port 5432 failed: '


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (AT + "FATAL:  the database system is starting up\n", "the database is starting"),
        (AT + "FATAL:  the database system is not yet accepting connections\nDETAIL:  Consistent recovery state", "the database is starting"),
        (AT + "FATAL:  the database system is in recovery mode\n", "the database is starting again after a crash"),
        (AT + "FATAL:  the database system is shutting down\n", "the database is stopping"),
        (AT + 'FATAL:  database "kit" does not exist\n', "the database is not set up yet: airflow-init does that, see 'kit status'"),
        (AT + 'FATAL:  role "kit" does not exist\n', "the database is not set up yet: airflow-init does that, see 'kit status'"),
        (AT + "Connection refused\n\tIs the server running on that host?\n", AT + "Connection refused Is the server running on that host?"),
    ],
)  # fmt: skip
def test_why_nobody_can_connect_is_one_line(said, told):
    assert plainly(psycopg2.OperationalError(said)) == told


@pytest.mark.parametrize(
    "kind", [psycopg2.errors.UndefinedTable, psycopg2.errors.UndefinedFunction, psycopg2.errors.InvalidSchemaName]
)
def test_tables_that_are_not_there_yet_are_told_without_the_statement(kind):
    said = plainly(
        kind('relation "kit.seen" does not exist\nLINE 1: SELECT facts FROM kit.seen\n                          ^\n')
    )
    assert said == "the database is not set up yet: airflow-init does that, see 'kit status'"


def test_what_is_no_error_of_a_database_is_told_as_it_is():
    assert (plainly(KeyError("HOST")), plainly(OSError("a\n b")), plainly(ValueError())) == (
        "'HOST'",
        "a b",
        "ValueError",
    )
