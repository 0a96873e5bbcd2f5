"""The controller's lease, its changes and its rights, on real databases; its view of the broker, on messages that Celery wrote."""

import contextlib
import json

import psycopg2
import pytest
import valkey

from airflow_celery_kit.controller import database, lease
from airflow_celery_kit.controller.broker import Broker
from airflow_celery_kit.controller.lease import Lease, LeaseLostError
from airflow_celery_kit.core.repair import Action, Finding, TaskInstance
from airflow_celery_kit.worker import broker as worker_broker
from tests.contract.servers import wait_for
from tests.contract.tables import METADATA, RESULTS, ROW


@pytest.fixture
def connect(ready):
    """Opens connections as the controller's role; tables are emptied after the test."""
    with contextlib.ExitStack() as opened:

        def to(name: str):
            settings = ready.settings
            made = psycopg2.connect(
                host="127.0.0.1", port=settings["POSTGRES_PORT"], user="kit", dbname=name, password=settings["KIT_DB_PASSWORD"]
            )  # fmt: skip
            return opened.enter_context(contextlib.closing(made))

        yield to
    ready.query("DELETE FROM task_instance", **METADATA)
    ready.query("UPDATE kit.lease SET holder = '', expires_at = now() - interval '1 s'", **METADATA)
    ready.query("DELETE FROM celery_taskmeta", **RESULTS)


def test_one_leads_and_another_takes_over_when_the_lease_has_run_out(ready, connect):
    first, second = (Lease(connect("airflow"), "repair", name) for name in ("one", "two"))
    assert (first.hold(), second.hold(), first.hold()) == (True, False, True)
    before = first.token
    ready.query("UPDATE kit.lease SET expires_at = now() - interval '1 s'", **METADATA)
    assert (second.hold(), first.hold()) == (True, False)
    assert second.token > before
    assert lease.LEASE_SECONDS <= 15


def test_what_a_leader_wants_that_was_frozen_past_its_lease_is_refused_and_changes_nothing(ready, connect):
    old, new = (Lease(connect("airflow"), "repair", name) for name in ("one", "two"))
    old.hold()
    ready.query(ROW, "queued", "m1", **METADATA)
    (task,) = database.believed(connect("airflow"))
    ready.query("UPDATE kit.lease SET expires_at = now() - interval '1 s'", **METADATA)
    new.hold()
    with pytest.raises(LeaseLostError):
        database.change(Finding(task, Action.REQUEUE, ""), old.fenced, connect("celery"))
    assert ready.query("SELECT state FROM task_instance", **METADATA) == [("queued",)]
    assert ready.query("SELECT count(*) FROM celery_taskmeta", **RESULTS) == [(0,)]


def test_a_process_that_restarts_under_the_same_name_fences_the_one_before(connect):
    before, after = (Lease(connect("airflow"), "repair", "one") for _ in range(2))
    assert before.hold() and after.hold()
    with pytest.raises(LeaseLostError), before.fenced():
        pytest.fail("the old token still works")


def test_what_airflow_believes_is_read_with_ages(ready, connect):
    ready.query(ROW, "running", "m1", **METADATA)
    ready.query(ROW, "success", "m2", **METADATA)
    (task,) = database.believed(connect("airflow"))
    assert (task.name, task.state, task.message, task.hostname) == ("sales/r1/load[3]#2", "running", "m1", "worker-1")
    assert 59 < task.age < 70 and 59 < task.silence < 70


def test_a_lost_message_puts_its_task_back_without_a_try_and_closes_the_executors_slot(ready, connect):
    leader = Lease(connect("airflow"), "repair", "one")
    leader.hold()
    ready.query(ROW, "queued", "m1", **METADATA)
    (task,) = database.believed(connect("airflow"))
    finding = Finding(task, Action.REQUEUE, "")
    assert database.change(finding, leader.fenced, connect("celery"))
    columns = "state, try_number, queued_by_job_id, external_executor_id"
    assert ready.query(f"SELECT {columns} FROM task_instance", **METADATA) == [("scheduled", 2, None, None)]
    assert ready.query("SELECT task_id, status FROM celery_taskmeta", **RESULTS) == [("m1", "FAILURE")]
    assert not database.change(finding, leader.fenced, connect("celery")), "never twice"


def test_the_slot_of_an_ended_task_is_given_back_when_its_worker_could_not(ready, connect):
    leader = Lease(connect("airflow"), "repair", "one")
    leader.hold()
    ready.query(ROW, "success", "m1", **METADATA)
    finding = Finding(TaskInstance("", "sales/r1/load", "ended", "m1", "", 0.0, None), Action.CLOSE, "")
    assert database.change(finding, leader.fenced, connect("celery"))
    assert ready.query("SELECT state FROM task_instance", **METADATA) == [("success",)]
    assert ready.query("SELECT task_id, status FROM celery_taskmeta", **RESULTS) == [("m1", "SUCCESS")]
    ready.query("UPDATE celery_taskmeta SET status = 'FAILURE'", **RESULTS)
    assert database.change(finding, leader.fenced, connect("celery"))
    assert ready.query("SELECT status FROM celery_taskmeta", **RESULTS) == [("FAILURE",)], (
        "the worker's own word counts"
    )


def test_a_sensor_that_waits_for_its_next_look_keeps_its_result_open(ready, connect):
    leader = Lease(connect("airflow"), "repair", "one")
    leader.hold()
    ready.query(ROW, "scheduled", "m1", **METADATA)
    finding = Finding(TaskInstance("", "sales/r1/load", "ended", "m1", "", 0.0, None), Action.CLOSE, "")
    assert not database.change(finding, leader.fenced, connect("celery"))


def test_results_that_say_that_a_task_runs_are_found_by_their_index(ready, connect):
    for message, status in (("m1", "STARTED"), ("m2", "SUCCESS")):
        ready.query(
            "INSERT INTO celery_taskmeta (id, task_id, status) VALUES (nextval('task_id_sequence'), %s, %s)",
            message, status, **RESULTS,
        )  # fmt: skip
    assert database.started(connect("celery")) == {"m1"}
    assert ready.query("SELECT indexdef FROM pg_indexes WHERE indexname = 'kit_started'", **RESULTS)


def test_a_task_that_started_meanwhile_is_left_alone(ready, connect):
    leader = Lease(connect("airflow"), "repair", "one")
    leader.hold()
    ready.query(ROW, "queued", "m1", **METADATA)
    (task,) = database.believed(connect("airflow"))
    ready.query("UPDATE task_instance SET state = 'running', last_heartbeat_at = now()", **METADATA)
    for action in Action:
        assert not database.change(Finding(task, action, ""), leader.fenced, connect("celery"))
    assert ready.query("SELECT count(*) FROM celery_taskmeta", **RESULTS) == [(0,)]


def test_a_dead_tasks_heartbeat_is_dated_back_and_nothing_else_changes(ready, connect):
    leader = Lease(connect("airflow"), "repair", "one")
    leader.hold()
    ready.query(ROW, "running", "m1", **METADATA)
    (task,) = database.believed(connect("airflow"))
    assert database.change(Finding(task, Action.FREE, ""), leader.fenced, connect("celery"))
    old = "state, last_heartbeat_at < now() - interval '300 s', external_executor_id"
    assert ready.query(f"SELECT {old} FROM task_instance", **METADATA) == [("running", True, "m1")]


@pytest.mark.parametrize(
    ("where", "statement"),
    [
        ("airflow", "UPDATE task_instance SET try_number = 9"),
        ("airflow", "DELETE FROM task_instance"),
        ("airflow", "DELETE FROM kit.lease"),
        ("airflow", "CREATE TABLE mine ()"),
        ("celery", "DELETE FROM celery_taskmeta"),
    ],
)
def test_the_role_may_do_no_more_than_that(connect, where, statement):
    with (
        connect(where) as connection,
        connection.cursor() as cursor,
        pytest.raises(psycopg2.errors.InsufficientPrivilege),
    ):
        cursor.execute(statement)


def test_messages_are_found_in_every_priority_and_in_the_hands_of_a_worker(publisher, controllers_client):
    for number, priority in enumerate((0, 3, 9)):
        publisher.send_task("execute_workload", args=["{}"], queue="default", priority=priority, task_id=f"m{number}")
    publisher.send_task("execute_workload", args=["{}"], queue="heavy", task_id="m3")
    seen = Broker(controllers_client)
    assert seen.messages().waiting == {"m0", "m1", "m2", "m3"}
    with publisher.connection_for_read() as connection, connection.SimpleQueue("heavy") as queue:
        queue.get(timeout=5)
        held = seen.messages()
        assert (held.waiting, set(held.unacked)) == ({"m0", "m1", "m2"}, {"m3"})
        assert seen.delivered() == 1
        seen.forget_delivery("m3")
        assert seen.messages().unacked == {}
        assert controllers_client.zcard("unacked_index") == 0


def test_what_a_dead_worker_took_is_delivered_again_under_its_own_id(publisher, controllers_client):
    publisher.send_task("execute_workload", args=["{}"], queue="default", task_id="m0")
    with publisher.connection_for_read() as connection, connection.SimpleQueue("default") as queue:
        queue.get(timeout=5)
        seen = Broker(controllers_client)
        seen.deliver_again("m0")
        seen.deliver_again("unknown")
        assert controllers_client.zrange("unacked_index", 0, -1, withscores=True)[0][1] == 0.0
        connection.default_channel.qos.restore_visible()
        assert seen.messages().waiting == {"m0"}
        assert seen.delivered() == 0


def test_a_worker_lives_as_long_as_its_report(stack, controllers_client):
    stack.valkey.set(f"{worker_broker.REPORT_KEY}worker-1", json.dumps({"held": ["m1"]}), px=1000)
    assert Broker(controllers_client).held() == {"worker-1": {"m1"}}
    wait_for("the end of its life", lambda: Broker(controllers_client).held() == {})


def test_a_reply_queue_goes_only_when_nobody_used_it_for_long(stack, controllers_client, monkeypatch):
    name = "b1.reply.celery.pidbox"
    stack.valkey.rpush(name, "answer")
    stack.valkey.sadd("_kombu.binding.reply.celery.pidbox", f"b1\x06\x16\x06\x16{name}")
    assert Broker(controllers_client).drop_orphan_replies() == 0
    monkeypatch.setattr("airflow_celery_kit.controller.broker.REPLY_IDLE_SECONDS", 0)
    assert Broker(controllers_client).drop_orphan_replies() == 1
    assert not stack.valkey.exists(name, "_kombu.binding.reply.celery.pidbox")


@pytest.mark.parametrize(
    "words", [("SET", "kit:worker:x", "1"), ("PUBLISH", "x", "y"), ("FLUSHALL",), ("CONFIG", "GET", "*")]
)
def test_the_controllers_login_can_neither_answer_for_a_worker_nor_wipe(controllers_client, words):
    with pytest.raises(valkey.exceptions.NoPermissionError):
        controllers_client.execute_command(*words)
