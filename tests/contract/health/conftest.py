"""Runs in: contract tests; the environment of a controller on a real PostgreSQL and Valkey, and reports of workers in it."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest

from airflow_celery_kit.core.health import Finding
from airflow_celery_kit.health.check import Check
from airflow_celery_kit.health.looking import look
from airflow_celery_kit.runtimes import prepare
from airflow_celery_kit.worker.broker import REPORT_KEY, REPORT_SECONDS
from tests.contract.servers import Stack
from tests.contract.smoke import harness
from tests.contract.tables import METADATA


@pytest.fixture(scope="module")
def measured(ready: Stack) -> Stack:
    """The tables, and what says how much disk is left."""
    address = {"host": "127.0.0.1", "port": ready.settings["POSTGRES_PORT"], "user": "postgres", "dbname": "airflow"}
    with (
        contextlib.closing(psycopg2.connect(password=ready.settings["POSTGRES_PASSWORD"], **address)) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(prepare.DISK())
    return ready


@pytest.fixture
def environment(measured: Stack) -> dict[str, str]:
    """What a controller is started with."""
    settings = measured.settings
    server = f"postgresql://kit:{settings['KIT_DB_PASSWORD']}@127.0.0.1:{settings['POSTGRES_PORT']}"
    return {
        "KIT_METADATA_CONN": f"{server}/airflow",
        "KIT_RESULTS_CONN": f"{server}/celery",
        "AIRFLOW__CELERY__BROKER_URL": f"redis://127.0.0.1:{settings['VALKEY_PORT']}/0",
        "KIT_BROKER_USER": "kit",
        "KIT_BROKER_PASSWORD_FILE": str(settings.secrets / "controller_password"),
        "KIT_INSTANCE": "controller-1",
    }


@pytest.fixture
def controller(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, measured: Stack
) -> Iterator[dict[str, str]]:
    """The same as this process's environment; the broker is empty and nothing is on record afterwards."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    yield environment
    for key in measured.valkey.keys("*"):
        measured.valkey.delete(key)
    measured.query("DELETE FROM kit.seen; DELETE FROM job; DELETE FROM kit.service WHERE service <> 'salt'", **METADATA)
    measured.query("UPDATE kit.lease SET holder = '', expires_at = now() - interval '1 s'", **METADATA)


@pytest.fixture
def found(controller: dict[str, str]) -> Callable[[Check], dict[str, Finding]]:
    """Looks once as the controller does; gives the findings by subject."""
    return lambda check: {one.subject: one for one in look(check, controller)}


@pytest.fixture
def reports(measured: Stack) -> Callable[..., None]:
    """Lets a worker report, well unless something else is said."""

    def report(name: str = "worker-1", life: float = REPORT_SECONDS, **more: Any) -> None:
        said = {
            "held": [], "queues": ["default"], "consuming": ["default"], "slots": 4, "drained": False, "deaf": False, "short": "", "at": time.time(),
            "disk": {"logs": 1 << 40}, "memory": {"free": 8 << 30, "total": 16 << 30}, "canary": {}, "versions": {"kit": "1"},
            "secrets": {"hashes": {"broker password": "a"}, "exposed": [], "weak": []},
        }  # fmt: skip
        measured.valkey.set(f"{REPORT_KEY}{name}", json.dumps(said | more), px=int(life * 1000))

    return report


@pytest.fixture
def own(own_broker: harness.Broker, monkeypatch: pytest.MonkeyPatch) -> Iterator[harness.Broker]:
    """A broker whose settings tests may change, and the check on it with the controller's own login."""
    if not own_broker.answers():
        own_broker.start()
    port = own_broker.settings["VALKEY_PORT"]
    monkeypatch.setenv("AIRFLOW__CELERY__BROKER_URL", f"redis://127.0.0.1:{port}/0")
    monkeypatch.setenv("KIT_BROKER_USER", "kit")
    monkeypatch.setenv("KIT_BROKER_PASSWORD_FILE", str(own_broker.settings.secrets / "controller_password"))
    before = own_broker.client.config_get("*")
    yield own_broker
    for name in ("maxmemory", "maxmemory-policy", "appendonly", "maxclients"):
        own_broker.client.config_set(name, before[name])
    own_broker.client.flushall()


def state_of(check: Check) -> tuple[str, str]:
    """What one look says that needs no environment of its own."""
    (one,) = look(check, {})
    return str(one.state), one.why
