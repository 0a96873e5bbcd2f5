"""Runs in: contract tests; the controller's own logins to emptied tables and lists."""

import contextlib

import psycopg2
import pytest

from airflow_celery_kit.controller.broker import Broker
from tests.contract.tables import METADATA


@pytest.fixture
def kit(ready):
    """A connection as the controller's role, to emptied tables with one run of ten minutes."""
    settings = ready.settings
    ready.query(
        "INSERT INTO dag_run (dag_id, run_id, state, start_date) VALUES ('sales', 'r1', 'running', now() - interval '10 min')",
        **METADATA,
    )
    ready.query("INSERT INTO dag (dag_id, is_paused) VALUES ('sales', false)", **METADATA)
    with contextlib.closing(
        psycopg2.connect(
            host="127.0.0.1", port=settings["POSTGRES_PORT"], user="kit", dbname="airflow", password=settings["KIT_DB_PASSWORD"]
        )
    ) as connection:  # fmt: skip
        yield connection
    for table in ("task_instance", "dag", "dag_run", "dag_tag", "deadline", "slot_pool", "kit.base_weight"):
        ready.query(f"DELETE FROM {table}", **METADATA)


@pytest.fixture
def broker(publisher, controllers_client):
    """An app that publishes as Airflow does, and what the controller sees of the broker."""
    return publisher, Broker(controllers_client)
