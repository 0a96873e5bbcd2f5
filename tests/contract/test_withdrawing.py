"""Messages of cancelled tasks leave a real broker, and what was asked for stands in a real database."""

import contextlib
import uuid

import psycopg2
import pytest

from airflow_celery_kit.controller import database, withdrawing
from airflow_celery_kit.controller.broker import Broker
from tests.contract.tables import METADATA, RESULTS

ON_WHEELS_ALONE = True
MAKE = "INSERT INTO task_instance (id, dag_id, run_id, task_id, map_index, try_number, state) VALUES (%s, 'sales', 'r1', 'load', -1, 1, 'failed')"


@pytest.fixture
def withdraw(ready, controllers_client):
    """What the controller does, as its own roles."""
    settings = ready.settings
    with contextlib.ExitStack() as opened:
        connect = lambda name: opened.enter_context(contextlib.closing(psycopg2.connect(  # noqa: E731
            host="127.0.0.1", port=settings["POSTGRES_PORT"], user="kit", dbname=name, password=settings["KIT_DB_PASSWORD"]
        )))  # fmt: skip
        metadata, results = connect("airflow"), connect("celery")
        yield lambda: withdrawing.withdraw(
            metadata, results, Broker(controllers_client), lambda: database.transaction(metadata)
        )
    for table in ("task_instance", "kit.withdrawal", "kit.change"):
        ready.query(f"DELETE FROM {table}", **METADATA)
    ready.query("DELETE FROM celery_taskmeta", **RESULTS)


def send(publisher, number, priority=3):
    """Publish one message and return its id."""
    id = str(uuid.uuid4())
    publisher.send_task("execute_workload", args=[str(number)], queue="default", task_id=id, priority=priority)
    return id


def ask(ready, message):
    """Ask for a message to go, as the api-server does; return its task."""
    task = str(uuid.uuid4())
    ready.query(MAKE, task, **METADATA)
    ready.query("INSERT INTO kit.withdrawal (message, task) VALUES (%s, %s)", message, task, **METADATA)
    return task


def left(broker):
    """The ids of the messages that wait."""
    return broker.messages().waiting


def test_what_was_asked_for_goes_and_nothing_else(ready, publisher, controllers_client, withdraw):
    kept, gone = [send(publisher, number, priority) for number, priority in ((1, 0), (2, 3))]
    task = ask(ready, gone)
    ready.query("DELETE FROM kit.change", **METADATA)
    assert withdraw() == 1
    assert left(Broker(controllers_client)) == {kept}
    assert ready.query("SELECT task_id, status FROM celery_taskmeta", **RESULTS) == [(gone, "REVOKED")]
    said = "SELECT kind, source, task::text, message, facts ->> 'was' FROM kit.change"
    assert ready.query(said, **METADATA) == [("withdrawn", "controller", task, gone, "in the broker")]
    assert withdraw() == 0 and len(ready.query(said, **METADATA)) == 1


def test_a_message_that_a_worker_has_is_left_to_it(ready, controllers_client, withdraw):
    ask(ready, "elsewhere")
    ready.query("DELETE FROM kit.change", **METADATA)
    assert withdraw() == 0
    assert ready.query("SELECT facts ->> 'was' FROM kit.change", **METADATA) == [("with a worker or nowhere",)]
    assert ready.query("SELECT count(*) FROM kit.withdrawal WHERE done_at IS NULL", **METADATA) == [(0,)]


def test_a_result_that_is_there_stays(ready, withdraw):
    ready.query("INSERT INTO celery_taskmeta (id, task_id, status) VALUES (1, 'done', 'SUCCESS')", **RESULTS)
    ask(ready, "done")
    withdraw()
    assert ready.query("SELECT status FROM celery_taskmeta", **RESULTS) == [("SUCCESS",)]


def test_where_no_journal_is_kept_nothing_is_told_that_nobody_would_carry_away(ready, withdraw):
    ready.query("ALTER TABLE task_instance DISABLE TRIGGER kit_journal", **METADATA)
    try:
        ask(ready, "unheard")
        ready.query("DELETE FROM kit.change", **METADATA)
        withdraw()
        assert ready.query("SELECT count(*) FROM kit.withdrawal WHERE done_at IS NOT NULL", **METADATA) == [(1,)]
        assert ready.query("SELECT kind FROM kit.change", **METADATA) == []
    finally:
        ready.query("ALTER TABLE task_instance ENABLE TRIGGER kit_journal", **METADATA)
