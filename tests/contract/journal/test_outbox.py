"""What Airflow's own rows leave behind, on a real PostgreSQL: an event for each change of a state, in the same transaction."""

import contextlib
import uuid

import psycopg2
import pytest

from airflow_celery_kit.journal import install
from airflow_celery_kit.journal.outbox import OutboxSupply
from airflow_celery_kit.journal.sink import Sink
from tests.contract.tables import METADATA

ON_WHEELS_ALONE = True
CHANGES = "SELECT kind, attempt, map_index, facts ->> 'queue' FROM kit.change ORDER BY seq"
MAKE = """
INSERT INTO task_instance (id, dag_id, run_id, task_id, map_index, try_number, state, queue, pool, priority_weight, operator)
VALUES (%s, 'sales', 'r1', 'load', %s, %s, %s, 'default', 'default_pool', 256, '@task') RETURNING id::text
"""


def connect(ready, role="airflow"):
    """A connection to the metadata database."""
    settings = ready.settings
    password = settings["AIRFLOW_DB_PASSWORD" if role == "airflow" else "KIT_DB_PASSWORD"]
    return psycopg2.connect(
        host="127.0.0.1", port=settings["POSTGRES_PORT"], user=role, dbname="airflow", password=password
    )


@pytest.fixture
def airflow(ready, journal):
    """Airflow's tables with the triggers, emptied, beside an empty journal."""
    ready.query(install.outbox(), **METADATA)
    yield ready
    for table in ("task_instance", "dag_run", "rendered_task_instance_fields", "kit.change"):
        ready.query(f"DELETE FROM {table}", **METADATA)


def asked(ready, state=None, map_index=-1, attempt=0):
    """Make a task instance; return its id."""
    ((id,),) = ready.query(MAKE, str(uuid.uuid4()), map_index, attempt, state, **METADATA)
    return id


def carry(ready, journal, mask=lambda value: value):
    """Carry everything to the journal."""
    supply, sink = OutboxSupply(lambda: connect(ready), mask), Sink(journal.address("journal_scheduler"))
    try:
        return supply.carry(sink)
    finally:
        supply.drop()
        sink.drop()


def test_each_change_of_a_state_leaves_an_event_and_nothing_else_does(airflow):
    id = asked(airflow, map_index=3)
    airflow.query("UPDATE task_instance SET state = 'scheduled', try_number = 1 WHERE id = %s", id, **METADATA)
    airflow.query("UPDATE task_instance SET state = 'scheduled', priority_weight = 7 WHERE id = %s", id, **METADATA)
    airflow.query("UPDATE task_instance SET last_heartbeat_at = now() WHERE id = %s", id, **METADATA)
    airflow.query("UPDATE task_instance SET state = NULL WHERE id = %s", id, **METADATA)
    assert airflow.query(CHANGES, **METADATA) == [
        ("asked", 1, 3, "default"),
        ("scheduled", 1, 3, "default"),
        ("cleared", 1, 3, None),
    ]


def test_a_change_that_is_rolled_back_leaves_none(airflow):
    with contextlib.closing(connect(airflow)) as connection, connection.cursor() as cursor:
        cursor.execute(MAKE, (str(uuid.uuid4()), -1, 0, None))
        connection.rollback()
    assert airflow.query(CHANGES, **METADATA) == []


def test_who_may_write_no_event_changes_states_all_the_same(airflow):
    """The controller frees a stuck task as its own role."""
    id = asked(airflow, "queued")
    with contextlib.closing(connect(airflow, "kit")) as connection, connection, connection.cursor() as cursor:
        cursor.execute("UPDATE task_instance SET state = 'scheduled' WHERE id = %s", (id,))
    refused = pytest.raises(psycopg2.errors.InsufficientPrivilege)
    with contextlib.closing(connect(airflow, "kit")) as connection, connection.cursor() as cursor, refused:
        cursor.execute("SELECT 1 FROM kit.change")
    assert [kind for kind, *_ in airflow.query(CHANGES, **METADATA)] == ["asked", "queued", "scheduled"]


def test_the_next_attempt_of_a_task_is_another_record(airflow, journal):
    """Airflow gives the row another id, with or without its new state in the same statement."""
    id = asked(airflow, "running", attempt=1)
    second, third = str(uuid.uuid4()), str(uuid.uuid4())
    airflow.query("UPDATE task_instance SET id = %s WHERE id = %s", second, id, **METADATA)
    airflow.query("UPDATE task_instance SET state = 'up_for_retry' WHERE id = %s", second, **METADATA)
    airflow.query("UPDATE task_instance SET state = 'running', try_number = 2 WHERE id = %s", second, **METADATA)
    airflow.query("UPDATE task_instance SET id = %s, state = 'up_for_retry' WHERE id = %s", third, second, **METADATA)
    carry(airflow, journal)
    found = {one: journal.task(one) for one in (id, second, third)}
    assert [one["status"] for one in found.values()] == ["RETRY", "RETRY", "PENDING"]
    assert [one["attempt"] for one in found.values()] == [1, 2, 3]
    assert (found[id]["replaced_by"], found[third]["instead_of"]) == (second, second)
    assert [one["impossible"] for one in found.values()] == [0, 0, 0]


def test_a_task_knows_what_it_was_given(airflow, journal):
    id = asked(airflow, "running", attempt=1)
    given = (
        "INSERT INTO rendered_task_instance_fields VALUES ('sales', 'load', 'r1', -1, '{\"op_kwargs\": {\"size\": 3}}')"
    )
    airflow.query(given, **METADATA)
    carry(airflow, journal)
    record = journal.task(id)
    assert record["input"]["fields"] == {"op_kwargs": {"size": 3}} and len(record["input"]["hash"]) == 64


def test_a_run_leaves_events_and_its_configuration_is_masked(airflow, journal):
    airflow.query(
        "INSERT INTO dag_run (dag_id, run_id, state, run_type, triggered_by, triggering_user_name, conf, queued_at) "
        """VALUES ('sales', 'r1', 'queued', 'manual', 'REST_API', 'anna', '{"password": "hush"}', now())""",
        **METADATA,
    )
    airflow.query("UPDATE dag_run SET state = 'running'", **METADATA)
    carry(airflow, journal, lambda conf: dict.fromkeys(conf, "***"))
    found = journal.reader.workflow("sales", "r1")
    assert (found["state"], found["user_name"], found["conf"]) == ("running", "anna", {"password": "***"})
    assert "hush" not in str(journal.query("SELECT facts FROM journal.event"))


def test_a_graph_that_cannot_be_read_keeps_no_event(airflow, journal, caplog):
    """As with an Airflow whose tables are others."""
    made = "INSERT INTO dag_run (dag_id, run_id, state, created_dag_version_id) VALUES ('sales', 'r1', 'queued', gen_random_uuid())"
    airflow.query(made, **METADATA)
    assert carry(airflow, journal) == 1
    found = journal.reader.workflow("sales", "r1")
    assert (found["state"], found["graph"]) == ("queued", None) and "is not kept" in caplog.text


def test_what_is_deleted_before_its_end_has_one_on_record(airflow, journal):
    open_one, ended = asked(airflow, "queued"), asked(airflow, "success", map_index=1)
    airflow.query("DELETE FROM task_instance", **METADATA)
    carry(airflow, journal)
    assert (journal.task(open_one)["status"], journal.task(ended)["status"]) == ("CANCELLED", "SUCCESS")


def test_a_run_that_is_deleted_keeps_what_was_known_of_it(airflow, journal):
    airflow.query(
        "INSERT INTO dag_run (dag_id, run_id, state, run_type, triggered_by, triggering_user_name, conf, queued_at, logical_date, "
        "created_dag_version_id) VALUES ('sales', 'r1', 'running', 'manual', 'REST_API', 'anna', '{\"rows\": 3}', now(), now(), gen_random_uuid())",
        **METADATA,
    )
    carry(airflow, journal)
    changed = {"state", "completed_at", "changed_at"}
    before = journal.reader.workflow("sales", "r1")
    airflow.query("DELETE FROM dag_run", **METADATA)
    carry(airflow, journal)
    after = journal.reader.workflow("sales", "r1")
    assert {name for name in after if after[name] != before[name]} == changed and after["state"] == "removed"


def test_what_was_carried_is_gone_and_what_the_journal_did_not_take_stays(airflow, journal):
    asked(airflow, "queued")
    supply = OutboxSupply(lambda: connect(airflow), lambda value: value)
    with pytest.raises(psycopg2.Error):
        supply.carry(Sink("postgresql://nobody@127.0.0.1:1/kit"))
    supply.drop()
    assert len(airflow.query(CHANGES, **METADATA)) == 2
    assert carry(airflow, journal) == 2
    assert airflow.query(CHANGES, **METADATA) == []


def test_an_event_that_the_journal_never_takes_keeps_no_other_one(airflow, journal, caplog):
    airflow.query(
        "INSERT INTO kit.change (kind, task, dag_id, run_id, facts) VALUES ('queued', gen_random_uuid(), 'd', 'r', '{\"priority\": \"x\"}')",
        **METADATA,
    )
    id = asked(airflow, "queued")
    assert carry(airflow, journal) == 3
    assert journal.task(id)["status"] == "QUEUED" and "does not take" in caplog.text


def test_two_carriers_write_each_event_once(airflow, journal):
    asked(airflow, "queued")
    with contextlib.closing(connect(airflow)) as other, other, other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('kit.change'))")
        assert carry(airflow, journal) == 0
    assert carry(airflow, journal) == 2


def test_without_a_journal_nothing_piles_up(airflow):
    address = "host=127.0.0.1 port={POSTGRES_PORT} user=airflow dbname=airflow password={AIRFLOW_DB_PASSWORD}".format(
        **airflow.settings.values
    )
    install.switch(address, on=False)
    asked(airflow, "queued")
    assert airflow.query(CHANGES, **METADATA) == []
    install.switch(address, on=True)
    asked(airflow, "queued", map_index=1)
    assert len(airflow.query(CHANGES, **METADATA)) == 2


def test_a_thousand_mapped_tasks_are_carried_in_order(airflow, journal):
    airflow.query(
        "INSERT INTO task_instance (dag_id, run_id, task_id, map_index, try_number, state, queue) "
        "SELECT 'sales', 'r1', 'load', n, 0, 'scheduled', 'default' FROM generate_series(0, 999) AS n",
        **METADATA,
    )
    assert carry(airflow, journal) == 2000
    assert journal.query("SELECT count(*), min(status), max(status), sum(impossible)::int FROM journal.task") == [
        (1000, "PENDING", "PENDING", 0)
    ]
