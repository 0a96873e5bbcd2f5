"""Runs in: airflow-controller; what PostgreSQL refuses, in one line and without the statement."""

import psycopg2
from psycopg2 import errors

NOT_SET_UP = "the database is not set up yet: airflow-init does that, see 'kit status'"
NOT_MADE = (errors.UndefinedTable, errors.UndefinedFunction, errors.UndefinedColumn, errors.InvalidSchemaName)
# What it says before anybody is let in.
MEANINGS = (
    ("system is starting up", "the database is starting"),
    ("not yet accepting connections", "the database is starting"),
    ("system is in recovery mode", "the database is starting again after a crash"),
    ("system is shutting down", "the database is stopping"),
    ("does not exist", NOT_SET_UP),
)


def plainly(problem: BaseException) -> str:
    """Return what is wrong, for an operator; of an error that is none of PostgreSQL's what it says, in one line."""
    said = " ".join(str(problem).split()) or type(problem).__name__
    if not isinstance(problem, psycopg2.Error):
        return said
    if isinstance(problem, NOT_MADE):
        return NOT_SET_UP
    if problem.diag.message_primary:
        return " ".join(problem.diag.message_primary.split())
    return next((meaning for words, meaning in MEANINGS if words in said), said)


def known(said: str) -> bool:
    """Return whether it is a sentence of its own."""
    return any(said == meaning for _, meaning in MEANINGS)
