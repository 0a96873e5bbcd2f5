"""Runs in: contract tests; the journal's database with its roles on a real PostgreSQL, and the words of a task's life."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_celery_kit.journal import install
from airflow_celery_kit.journal.reader import Reader, engine_for
from airflow_celery_kit.journal.sink import Sink
from tests.contract.conftest import own_copy
from tests.contract.journal.version_0001 import WRITE_0001
from tests.contract.servers import Stack

T0 = 1_800_000_000.0


@dataclass
class Journal:
    """The journal on a running server, by its three roles."""

    stack: Stack
    database: str = "kit"
    refused: list[str] = field(default_factory=list)

    def address(self, role: str, database: str | None = None) -> str:
        """A libpq URI with its password, for tests alone."""
        return self.stack.address(role, database or self.database)

    def query(self, statement: str, *values: Any, role: str = "postgres") -> list[tuple]:
        """Run one statement, committed at once."""
        return self.stack.query(statement, *values, role=role, database=self.database)

    def write(self, *events: dict[str, Any], as_role: str = "journal_scheduler") -> None:
        """Write events as a scheduler does, or a worker."""
        sink = Sink(self.address(as_role))
        sink.write([json.dumps(event) for event in events], self.refused.extend)
        sink.drop()

    def write_0001(self, *events: dict[str, Any], as_role: str = "journal_scheduler") -> None:
        """Write events as the first version did."""
        self.query(WRITE_0001, json.dumps(events), role=as_role)

    def task(self, id: str) -> dict[str, Any]:
        """The record of one attempt."""
        ((record,),) = self.query("SELECT to_jsonb(task) FROM journal.task AS task WHERE id = %s", id)
        return record

    @property
    def reader(self) -> Reader:
        """What the api-server uses."""
        return Reader(engine_for(self.address("journal_reader")))


@pytest.fixture(scope="module")
def made(prepared: Stack) -> Iterator[Journal]:
    """The database as airflow-init makes it."""
    settings, port = prepared.settings, prepared.settings["POSTGRES_PORT"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSFILE", str(own_copy(settings, "pgpass_superuser")))
        superuser = f"postgresql://postgres@127.0.0.1:{port}"
        assert install.migrate(f"{superuser}/kit") == "0007"
        yield Journal(prepared)


@pytest.fixture
def journal(made: Journal) -> Iterator[Journal]:
    """An empty journal."""
    yield made
    made.refused.clear()
    made.query("TRUNCATE journal.event, journal.task, journal.workflow, journal.graph, state.once")
    made.query(
        "TRUNCATE journal.counter, journal.histogram, journal.label, journal.uncounted, journal.untraced, journal.user_metric CASCADE"
    )


@dataclass
class Life:
    """Makes the events of one attempt, a tenth of a second apart; `seq` is Airflow's order."""

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    at: float = T0
    seq: int = 0
    names: dict[str, Any] = field(
        default_factory=lambda: {"dag_id": "sales", "run_id": "r1", "task_id": "load", "map_index": -1, "attempt": 1}
    )

    def says(self, source: str, kind: str, **facts: Any) -> dict[str, Any]:
        """Return the next event."""
        self.at += 0.1
        event = {
            "id": str(uuid.uuid4()),
            "at": self.at,
            "kind": kind,
            "source": source,
            "task": self.id,
            "facts": facts,
        }
        if source == "airflow":
            self.seq += 1
            event["seq"] = self.seq
        return event | self.names

    def airflow(self, *kinds: str) -> list[dict[str, Any]]:
        """Return what Airflow's database says one after the other."""
        return [self.says("airflow", kind, queue="default", priority=256, operator="@task") for kind in kinds]


@pytest.fixture
def life() -> Callable[..., Life]:
    """Makes lives."""
    return Life
