"""Runs in: airflow-controller, or a scheduler that is alone; counts up what happened to tasks, for Prometheus (journal/migrations, v0004)."""

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

log = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
# What workers say of an attempt's times comes a second or two after Airflow's word of its end.
SETTLE_SECONDS = 10.0
# How many Dags have figures of their own; all others count as `other`. As of queues, Dags and queues multiply.
DAGS, DAGS_DEFAULT = "KIT_METRICS_DAGS", 50
MOST_QUEUES = 20
# In one transaction; what is more waits for the next one.
BATCH, MOST_BATCHES = 5000, 10
COUNT = "SELECT journal.count_up(%s, %s, %s, %s)"


def most_dags(environment: Mapping[str, str] = os.environ) -> int:
    """Return how many Dags have figures of their own."""
    return int(environment.get(DAGS) or DAGS_DEFAULT)


def count_up(connection: Any, dags: int, trace: bool = False, settle: float = SETTLE_SECONDS) -> int:
    """Count what was noted `settle` seconds ago or earlier, return how many notes that were; with `trace` keep ended attempts for it.

    Whoever else counts at the same time is left alone, so no lease is needed. Raises psycopg2.Error.
    """
    counted = 0
    for _ in range(MOST_BATCHES):
        with connection, connection.cursor() as cursor:
            cursor.execute(COUNT, (dags, MOST_QUEUES, settle, trace))
            found = int(cursor.fetchone()[0])
        counted += found
        if found < BATCH:
            break
    return counted


class Counting:
    """Counts up every few seconds, on a connection of its own, where no controller does; `connect` opens one."""

    def __init__(self, connect: Callable[[], Any], clock: Callable[[], float]) -> None:
        self.connect, self.clock = connect, clock
        self.connection: Any = None
        self.due = float("-inf")

    def turn(self) -> None:
        """Count, if it is time to. What fails is said, and tried again."""
        if self.clock() < self.due:
            return
        self.due = self.clock() + EVERY_SECONDS
        try:
            self.connection = self.connection or self.connect()
            count_up(self.connection, most_dags())
        except Exception as problem:
            log.warning("what happened to tasks is not counted: %s", str(problem).strip())
            self.drop()

    def drop(self) -> None:
        """Close the connection; the next turn opens another."""
        if self.connection:
            with closing(self.connection):
                self.connection = None
