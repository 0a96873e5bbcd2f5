"""Runs in: contract tests; the controller's own logins to emptied tables and lists."""

import contextlib

import psycopg2
import pytest
import valkey
from celery import Celery

from airflow_celery_kit.controller.broker import Broker
from airflow_celery_kit.worker import broker as worker_broker
from tests.contract.tables import METADATA


@pytest.fixture
def kit(ready):
    """A connection as the controller's role, to emptied tables with one run of ten minutes."""
    settings = ready.settings
    ready.query(
        "INSERT INTO dag_run (dag_id, run_id, state, start_date) VALUES ('sales', 'r1', 'running', now() - interval '10 min')",
        **METADATA,
    )
    ready.query("INSERT INTO dag VALUES ('sales', false)", **METADATA)
    with contextlib.closing(
        psycopg2.connect(
            host="127.0.0.1", port=settings["POSTGRES_PORT"], user="kit", dbname="airflow", password=settings["KIT_DB_PASSWORD"]
        )
    ) as connection:  # fmt: skip
        yield connection
    for table in ("task_instance", "dag", "dag_run", "dag_tag", "deadline", "slot_pool", "kit.base_weight"):
        ready.query(f"DELETE FROM {table}", **METADATA)


@pytest.fixture
def broker(stack, monkeypatch):
    """The controller's client and an app that publishes as Airflow does; lists are emptied afterwards."""
    settings = stack.settings
    monkeypatch.setenv("KIT_BROKER_PASSWORD_FILE", str(settings.secrets / "valkey_password"))
    app = Celery(broker=f"redis://127.0.0.1:{settings['VALKEY_PORT']}/0", set_as_current=False)
    app.conf.update(broker_transport_options=worker_broker.TRANSPORT_OPTIONS, **worker_broker.credentials())
    client = valkey.Valkey(
        port=settings.number("VALKEY_PORT"), username="kit", password=settings["CONTROLLER_PASSWORD"]
    )
    yield app, Broker(client)
    app.close()
    for key in stack.valkey.scan_iter("default*"):
        stack.valkey.delete(key)
