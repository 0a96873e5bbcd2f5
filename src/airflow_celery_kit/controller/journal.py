"""Runs in: airflow-controller, or a scheduler that is alone; gives the journal a partition for each of the coming days, takes away what is old.

`python -m airflow_celery_kit.controller.journal DAYS [--act]` prints as JSON what is older, and removes it.
"""

import json
import os
import sys
from typing import Any

import psycopg2

from airflow_celery_kit.journal.teller import ADDRESS

# A controller that is away for less than this lets nothing fall into the partition that is for everything else.
AHEAD_DAYS = 7
DAYS = "KIT_JOURNAL_DAYS"
MAKE = "SELECT journal.make_partitions(%s)"
PRUNE = "SELECT journal.prune(%s, %s)"
# Those of whose runs none is left, and what tasks keep for each other.
PRUNE_MORE = ("SELECT journal.prune_graphs(%s)", "SELECT state.prune(%s)")
# The role's own limit is for the controller's looks.
LONG = "SET LOCAL statement_timeout = '10min'"


def kept() -> bool:
    """Return whether there is a journal."""
    return bool(os.environ.get(ADDRESS))


def make_partitions(connection: Any) -> int:
    """Make what is missing and return how many that were. Raises psycopg2.Error."""
    with connection, connection.cursor() as cursor:
        cursor.execute(MAKE, (AHEAD_DAYS,))
        return int(cursor.fetchone()[0])


def prune(connection: Any, days: int, dry: bool) -> dict[str, Any]:
    """Remove what is older than so many days, or only count it; return what that is. Raises psycopg2.Error."""
    with connection, connection.cursor() as cursor:
        cursor.execute(LONG)
        cursor.execute(PRUNE, (days, dry))
        found: dict[str, Any] = cursor.fetchone()[0]
        for statement in () if dry else PRUNE_MORE:
            cursor.execute(statement, (days,))
    return found


def prune_by_setting(connection: Any) -> dict[str, Any]:
    """Remove what is older than the setting says; return what was removed, nothing where all is to stay. Raises psycopg2.Error."""
    days = int(os.environ.get(DAYS) or 0)
    return prune(connection, days, dry=False) if days else {}


def main(arguments: list[str]) -> int:
    """Print what is older than a number of days; with `--act` remove it."""
    connection = psycopg2.connect(os.environ[ADDRESS], connect_timeout=5)
    print(json.dumps(prune(connection, int(arguments[0]), dry="--act" not in arguments)))  # noqa: T201
    connection.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
