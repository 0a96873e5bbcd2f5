"""Runs in: airflow-controller and `kit repair`; one look at database, broker and workers, and the connections for it."""

import os
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import valkey

from airflow_celery_kit.controller import database
from airflow_celery_kit.controller.broker import Broker
from airflow_celery_kit.core.repair import Finding, Messages, diagnose
from airflow_celery_kit.keepalive import KEEPALIVE

SECONDS = 5.0


@dataclass
class Connections:
    """Opened when they are first used, dropped together when one of them fails."""

    opened: dict[str, Any] = field(default_factory=dict)

    @property
    def metadata(self) -> Any:
        """The metadata database, as the role `kit`. Raises psycopg2.Error."""
        return self._database("KIT_METADATA_CONN")

    @property
    def results(self) -> Any:
        """The result database, as the role `kit`. Raises psycopg2.Error."""
        return self._database("KIT_RESULTS_CONN")

    @property
    def journal(self) -> Any:
        """The journal's database, as the role `kit`. Raises psycopg2.Error."""
        return self._database("KIT_JOURNAL_CONN")

    @property
    def broker(self) -> Broker:
        """The broker; the client connects again by itself."""
        if "broker" not in self.opened:
            address = urlsplit(os.environ["AIRFLOW__CELERY__BROKER_URL"])
            password = Path(os.environ["KIT_BROKER_PASSWORD_FILE"]).read_text().strip()
            self.opened["broker"] = valkey.Valkey(
                host=address.hostname or "", port=address.port or 6379, username=os.environ["KIT_BROKER_USER"],
                password=password, socket_timeout=SECONDS, socket_connect_timeout=SECONDS,
            )  # fmt: skip
        return Broker(self.opened["broker"])

    def drop(self) -> None:
        """Close everything; the next use opens anew."""
        for one in self.opened.values():
            with closing(one):
                pass
        self.opened.clear()

    def _database(self, variable: str) -> Any:
        if variable not in self.opened:
            self.opened[variable] = psycopg2.connect(os.environ[variable], connect_timeout=int(SECONDS), **KEEPALIVE)
        return self.opened[variable]


def look(connections: Connections) -> list[Finding]:
    """Return what is stuck now. The messages are read only when something is not in a worker's hands.

    Raises psycopg2.Error or valkey.ValkeyError when one side cannot be seen, or cannot be believed: then nothing is known.
    """
    connections.broker.check_room()
    tasks = database.believed(connections.metadata)
    held = connections.broker.held()
    started = database.started(connections.results)
    in_hands = frozenset().union(*held.values())
    if not diagnose(tasks, Messages(), held, started) and connections.broker.delivered() <= len(in_hands):
        return []
    return diagnose(tasks, connections.broker.messages(), held, started)
