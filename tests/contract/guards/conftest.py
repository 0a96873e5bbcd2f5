"""What tests of guards share: tasks that ask, several schedulers that ask at the same time, guards as the controller writes them."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg2
import pytest

from tests.contract.servers import Stack
from tests.contract.tables import METADATA

MAKE = """
INSERT INTO task_instance (dag_id, run_id, task_id, map_index, try_number, state, queue, pool, priority_weight, operator)
SELECT %s, %s, %s, n, 0, NULL, 'default', 'default_pool', 1, '@task' FROM generate_series(1, %s) AS n RETURNING id::text
"""
# As DagRun.schedule_tis does it.
SCHEDULE = """
UPDATE task_instance SET state = 'scheduled', scheduled_dttm = now(), try_number = try_number + 1
WHERE id = ANY(%s::uuid[]) AND (state IS NULL OR state IN ('up_for_retry', 'up_for_reschedule'))
"""
EMPTY = """
TRUNCATE kit.guard, kit.guard_said, kit.guard_suspended, kit.guard_value, kit.guard_workers, kit.guard_sweep, kit.admitted, kit.held,
    kit.rate, kit.breaker, kit.breaker_news, kit.guard_trip, kit.guard_probe, kit.guard_event, kit.guard_fault, kit.withdrawal, kit.change,
    task_instance, dag_run, dag_tag, serialized_dag
"""
# Whatever guards count by the clock is so many seconds older.
LATER = """
UPDATE kit.rate SET next = next - make_interval(secs => %(seconds)s);
UPDATE kit.held SET until = until - make_interval(secs => %(seconds)s);
UPDATE kit.breaker SET until = until - make_interval(secs => %(seconds)s), since = since - make_interval(secs => %(seconds)s)
"""
# For tests that put tasks into a state that no scheduler asked for.
QUIETLY = """
ALTER TABLE task_instance DISABLE TRIGGER USER;
UPDATE task_instance SET state = %(state)s WHERE %(task)s IN ('all', id::text);
ALTER TABLE task_instance ENABLE TRIGGER USER
"""
LIMIT = {"kind": "limit", "origin": "file", "rule": {}, "named": False, "token": ""}
BREAKER = {
    "kind": "breaker", "origin": "file", "rule": {}, "named": False, "token": "", "failures": 3, "failures_within": 60, "open_for": 30,
    "growth": "constant", "open_most": 30, "on_open": "wait",
}  # fmt: skip


@dataclass
class Airflow:
    """Airflow's tables with the guards."""

    stack: Stack

    def connect(self, role: str = "airflow") -> Any:
        """A connection of a scheduler's own."""
        settings = self.stack.settings
        password = settings["KIT_DB_PASSWORD" if role == "kit" else "AIRFLOW_DB_PASSWORD"]
        return psycopg2.connect(
            host="127.0.0.1", port=settings["POSTGRES_PORT"], user=role, dbname="airflow", password=password
        )

    def query(self, statement: str, *values: Any) -> list[tuple]:
        """Run one statement, committed at once."""
        return self.stack.query(statement, *values, **METADATA)

    def one(self, statement: str, *values: Any) -> Any:
        """The one value that a query finds."""
        ((value,),) = self.query(statement, *values)
        return value

    def tasks(self, number: int = 1, dag: str = "sales", task: str = "load", run: str = "r1") -> list[str]:
        """Make tasks that are due; return their ids."""
        return [id for (id,) in self.query(MAKE, dag, run, task, number)]

    def schedule(self, ids: list[str]) -> int:
        """Have a scheduler look at them; return how many it could schedule."""
        with contextlib.closing(self.connect()) as connection, connection, connection.cursor() as cursor:
            cursor.execute(SCHEDULE, (ids,))
            return cursor.rowcount

    def becomes(self, state: str | None, *ids: str) -> None:
        """Give tasks a state."""
        self.query("UPDATE task_instance SET state = %s WHERE id = ANY(%s::uuid[])", state, list(ids))

    def states(self, ids: list[str]) -> list[str | None]:
        """The states of tasks, in their order."""
        found = dict(self.query("SELECT id::text, state FROM task_instance"))
        return [found[id] for id in ids]

    def guards(self, *rules: dict[str, Any]) -> None:
        """Put guards in force, as the controller does."""
        with contextlib.closing(self.connect("kit")) as connection, connection, connection.cursor() as cursor:
            cursor.execute("SELECT kit.guards_apply(%s)", (json.dumps(list(rules)),))

    def later(self, seconds: float) -> None:
        """Let time pass for guards, at once: a test that sleeps counts on a quick machine before and after."""
        with contextlib.closing(self.connect()) as connection, connection, connection.cursor() as cursor:
            cursor.execute(LATER, {"seconds": seconds})

    def why(self, id: str) -> str | None:
        """What a task waits for."""
        found = self.query("SELECT because FROM kit.waits(%s)", id)
        return found[0][0] if found else None

    def breaker(self) -> tuple:
        """The one breaker."""
        (found,) = self.query("SELECT state, reason, probe::text, openings FROM kit.breaker")
        return found


def limit(name: str = "crm-db", **more: Any) -> dict[str, Any]:
    """A limit as the database keeps it."""
    return LIMIT | {"id": f"limit {name}", "name": name} | more


def breaker(name: str = "crm", **more: Any) -> dict[str, Any]:
    """A breaker as the database keeps it."""
    return BREAKER | {"id": f"breaker {name}", "name": name} | more


@pytest.fixture
def airflow(ready: Stack) -> Iterator[Airflow]:
    """Airflow's tables, empty, and no guards."""
    made = Airflow(ready)
    made.query(EMPTY)
    yield made
    assert made.query("SELECT what FROM kit.guard_fault") == [], "a guard was wrong"
    made.query(EMPTY)
