"""What the controller sees in a real broker, on messages that Celery wrote, and how the api-server reads it from a real database."""

import contextlib
import json
import threading
from types import SimpleNamespace

import psycopg2
import pytest
import valkey
from celery import Celery
from sqlalchemy import create_engine
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from airflow_celery_kit.api import snapshot
from airflow_celery_kit.controller import queues, seen, waiting
from airflow_celery_kit.controller.beside import Beside, chores
from airflow_celery_kit.controller.broker import Broker
from airflow_celery_kit.controller.lease import Lease
from airflow_celery_kit.controller.main import Controller, say
from airflow_celery_kit.controller.sight import Connections
from airflow_celery_kit.scheduler.router import route
from airflow_celery_kit.worker import broker as worker_broker
from tests.contract.tables import METADATA

ON_WHEELS_ALONE = True
NOW = 1_000_000.0
# The weight of each step that these tests fill.
WEIGHTS = {0: 512, 9: 1}


@pytest.fixture
def sent_at(publisher, monkeypatch):
    """Sends one task as the scheduler does, so many seconds before NOW; its step of priority decides its weight."""
    publisher.conf.task_routes = (route,)

    def send(seconds: float, queue: str = "default", step: int = 9) -> Celery:
        monkeypatch.setattr(
            "airflow_celery_kit.scheduler.router.time", SimpleNamespace(time=lambda: NOW - seconds)
        )  # fmt: skip
        workload = json.dumps({"ti": {"priority_weight": WEIGHTS[step]}})
        publisher.send_task("execute_workload", args=[workload], queue=queue)
        return publisher

    return send


@pytest.fixture
def connections(ready, controllers_client):
    """Makes what a controller sees by; nothing is known at the end."""
    with contextlib.ExitStack() as opened:

        def make() -> Connections:
            settings = ready.settings
            found = {
                variable: psycopg2.connect(
                    host="127.0.0.1", port=settings["POSTGRES_PORT"], user="kit", dbname=name, password=settings["KIT_DB_PASSWORD"]
                )
                for variable, name in (("KIT_METADATA_CONN", "airflow"), ("KIT_RESULTS_CONN", "celery"))
            }  # fmt: skip
            for one in found.values():
                opened.enter_context(contextlib.closing(one))
            return Connections(found | {"broker": controllers_client})

        yield make
    ready.query("DELETE FROM kit.seen", **METADATA)
    ready.query("UPDATE kit.lease SET holder = '', expires_at = now() - interval '1 s'", **METADATA)


@pytest.fixture
def session(ready):
    """A session of the api-server's own role."""
    settings = ready.settings
    url = URL.create(
        "postgresql+psycopg2", "airflow", settings["AIRFLOW_DB_PASSWORD"], "127.0.0.1", settings.number("POSTGRES_PORT"), "airflow"
    )  # fmt: skip
    engine = create_engine(url)
    with Session(engine) as opened:
        yield opened
    engine.dispose()


def rows(ready) -> list[tuple]:
    """What is kept of the last look."""
    return ready.query("SELECT what, facts FROM kit.seen WHERE what = 'queues'", **METADATA)


def test_lengths_and_oldest_waits_are_seen_in_every_queue_and_step(sent_at, controllers_client):
    for seconds in (50, 20):
        sent_at(seconds)
    sent_at(5, step=0)
    sent_at(7, "heavy")
    default, heavy = queues.look(Broker(controllers_client), NOW, {})["queues"]
    assert default == {
        "queue": "default", "scheduled": 0, "scheduled_oldest_seconds": None, "waiting": 3, "oldest_seconds": 50.0, "slots": 0, "steps": [
            {"step": 0, "waiting": 1, "oldest_seconds": 5.0}, {"step": 9, "waiting": 2, "oldest_seconds": 50.0}
        ]
    }  # fmt: skip
    assert (heavy["waiting"], heavy["oldest_seconds"]) == (1, 7.0)


def test_a_message_that_is_taken_waits_no_more_and_an_emptied_queue_stays_with_nought(sent_at, controllers_client):
    sent_at(50)
    app, look = sent_at(20), lambda: queues.look(Broker(controllers_client), NOW, {})
    with app.connection_for_read() as connection, connection.SimpleQueue("default") as queue:
        first = queue.get(timeout=5)
        assert first.headers[worker_broker.SENT_AT] == NOW - 50
        assert [one["oldest_seconds"] for one in look()["queues"]] == [20.0]
        assert look()["delivered"] == 1
        second = queue.get(timeout=5)
        first.ack()
        second.ack()
    assert look() == {
        "queues": [queues.queue_facts("default", [], 0, queues.NOTHING_DUE)], "workers": [], "delivered": 0
    }  # fmt: skip


def test_a_message_that_does_not_say_when_it_was_sent_counts_and_has_no_age(sent_at, controllers_client, stack):
    sent_at(50)
    stack.valkey.rpush("default\x06\x169", json.dumps({"headers": {"id": "old"}}))
    (default,) = queues.look(Broker(controllers_client), NOW, {})["queues"]
    assert default["steps"] == [{"step": 9, "waiting": 2, "oldest_seconds": 50.0}]


def test_the_oldest_is_found_where_weights_put_it_last_and_at_both_ends_of_a_long_list(
    sent_at, controllers_client, monkeypatch
):
    for seconds in (20, 5, 5, 50):
        sent_at(seconds)
    look = lambda: queues.look(Broker(controllers_client), NOW, {})["queues"][0]["oldest_seconds"]  # noqa: E731
    assert look() == 50.0
    monkeypatch.setattr(queues, "READ_AT_AN_END", 1)
    assert look() == 50.0


def test_what_is_due_in_airflow_is_seen_by_queue_with_its_longest_wait(ready, connections, controllers_client):
    ready.query("INSERT INTO dag VALUES ('here', false), ('paused', true)", **METADATA)
    for run, state in (("here", "running"), ("paused", "running"), ("later", "queued")):
        ready.query(
            "INSERT INTO dag_run (state, dag_id, run_id) VALUES (%s, %s, %s)",
            state,
            run.replace("later", "here"),
            run,
            **METADATA,
        )
    put = "INSERT INTO task_instance (dag_id, run_id, queue, state, scheduled_dttm) VALUES (%s, %s, %s, %s, now() - %s * interval '1 s')"
    for dag, run, queue, state, seconds in (
        ("here", "here", "default", "scheduled", 30), ("here", "here", "default", "scheduled", 90), ("here", "here", "gpu", "scheduled", 7),
        ("here", "here", "default", "queued", 500), ("paused", "paused", "default", "scheduled", 500), ("here", "later", "default", "scheduled", 500),
    ):  # fmt: skip
        ready.query(put, dag, run, queue, state, seconds, **METADATA)
    try:
        found = waiting.due(connections().metadata)
        assert {name: (one.tasks, round(one.oldest_seconds / 10)) for name, one in found.items()} == {
            "default": (2, 9),
            "gpu": (1, 1),
        }
        (default, gpu) = queues.look(Broker(controllers_client), NOW, found)["queues"]
        assert (default["scheduled"], default["waiting"], gpu["queue"], gpu["scheduled"]) == (2, 0, "gpu", 1)
    finally:
        ready.query("DELETE FROM task_instance; DELETE FROM dag_run; DELETE FROM dag", **METADATA)


def test_slots_come_from_live_workers_also_for_a_queue_that_nobody_has_used(sent_at, controllers_client, stack):
    sent_at(1)
    for name, served in (("worker-1", ["default"]), ("worker-2", ["default", "gpu"])):
        report = json.dumps({"held": [], "queues": served, "slots": 4})
        stack.valkey.set(f"{worker_broker.REPORT_KEY}{name}", report, ex=60)
    found = queues.look(Broker(controllers_client), NOW, {})["queues"]
    assert {one["queue"]: (one["waiting"], one["slots"]) for one in found} == {"default": (1, 8), "gpu": (0, 4)}


def test_an_empty_broker_has_no_queues(controllers_client):
    assert queues.look(Broker(controllers_client), NOW, {}) == {"queues": [], "workers": [], "delivered": 0}


def test_a_leader_keeps_its_last_look_and_one_that_lost_the_lease_keeps_its_own_to_itself(ready, connections):
    old, new = (Lease(connections().metadata, "repair", name) for name in ("one", "two"))
    old.hold()
    for number in (1, 2):
        seen.write("queues", {"number": number}, old.fenced)
        ready.query("UPDATE kit.seen SET at = at - interval '1 min'", **METADATA)
    seen.write("queues", {"number": 2}, old.fenced)
    assert rows(ready) == [("queues", {"number": 2})]
    assert ready.query("SELECT now() - at < interval '30 s' FROM kit.seen", **METADATA) == [(True,)]
    ready.query("UPDATE kit.lease SET expires_at = now() - interval '1 s'", **METADATA)
    new.hold()
    seen.write("queues", {"number": 3}, old.fenced)
    assert rows(ready) == [("queues", {"number": 2})]


def controller(connections, order=None, more=None) -> Controller:
    """A controller whose chores are those of a real one, and `more`."""
    found = chores(order, say) | (more or {})
    return Controller(connections(), beside=Beside(found, say, connections()))


def step(one: Controller, now: float) -> None:
    """Look once and wait for what is done beside repair."""
    one.step(now)
    one.beside.wait()


def test_each_look_of_the_controller_that_leads_is_kept(ready, connections, sent_at, monkeypatch):
    leader, other = controller(connections), controller(connections)
    monkeypatch.setenv("KIT_INSTANCE", "controller-1")
    step(leader, 0.0)
    assert rows(ready) == [("queues", {"queues": [], "workers": [], "delivered": 0})]
    sent_at(1)
    monkeypatch.setenv("KIT_INSTANCE", "controller-2")
    step(other, 0.0)
    assert rows(ready) == [("queues", {"queues": [], "workers": [], "delivered": 0})], "the other one does not lead"
    monkeypatch.setenv("KIT_INSTANCE", "controller-1")
    step(leader, 2.0)
    ((_, facts),) = rows(ready)
    assert [(one["queue"], one["waiting"]) for one in facts["queues"]] == [("default", 1)]


class Failing:
    """An order of work that cannot be had."""

    def look(self, *_) -> None:
        raise ZeroDivisionError("this order cannot be had")


def test_an_order_that_fails_is_said_once_and_keeps_no_controller_from_looking(ready, connections, capsys):
    leader = controller(connections, Failing())
    for now in (0.0, 2.0, 4.0):
        step(leader, now)
    assert leader.seeing_since == 0.0
    assert capsys.readouterr().out.count("this order cannot be had") == 1
    assert rows(ready), "what comes after it is done"


def test_a_policy_that_does_not_return_keeps_no_controller_from_looking(ready, connections, capsys):
    release = threading.Event()
    leader = controller(connections, more={"endless": lambda *_: release.wait(60)})
    for now in range(0, 60, 2):
        leader.step(float(now))
    assert leader.beside.thread.is_alive()
    assert leader.suspicions.looked == 58.0, "it went on looking"
    assert capsys.readouterr().out.count('"slow"') == 1
    release.set()
    leader.beside.wait()


def test_a_database_that_went_away_is_found_again_by_what_is_beside_repair(ready, connections):
    leader = controller(connections)
    step(leader, 0.0)
    ready.query("SELECT pg_terminate_backend(%s)", leader.beside.connections.metadata.info.backend_pid)
    ready.query("DELETE FROM kit.seen", **METADATA)
    step(leader, 2.0)
    assert leader.beside.connections.opened == {}, "the next use opens anew"
    leader.beside.connections = connections()
    step(leader, 4.0)
    assert rows(ready)


def test_weights_that_cannot_be_forgotten_blind_no_controller(ready, connections, capsys):
    ready.query("REVOKE DELETE ON kit.base_weight FROM kit", **METADATA)
    try:
        leader = controller(connections)
        for now in (0.0, 100.0, 200.0):
            step(leader, now)
    finally:
        ready.query("GRANT DELETE ON kit.base_weight TO kit", **METADATA)
    assert leader.seeing_since == 0.0
    assert capsys.readouterr().out.count("permission denied for table base_weight") == 1


def test_a_controller_that_cannot_see_keeps_nothing(ready, connections, nearly_full):
    blind = controller(connections)
    with pytest.raises(valkey.OutOfMemoryError):
        step(blind, 0.0)
    assert rows(ready) == []


def test_the_api_server_reads_what_the_controller_kept_and_how_old_it_is(ready, connections, session):
    assert snapshot.answer(snapshot.read(session))["reason"] == snapshot.NEVER
    facts = {"queues": [], "delivered": 3}
    leader = Lease(connections().metadata, "repair", "one")
    leader.hold()
    seen.write("queues", facts, leader.fenced)
    found = snapshot.read(session)
    assert (found.facts, found.stale) == (facts, False)
    assert 0 <= found.age_seconds < 10
    ready.query("UPDATE kit.seen SET at = at - interval '45 s'", **METADATA)
    said = snapshot.answer(snapshot.read(session))
    assert said["stale"] and 45 <= said["age_seconds"] < 55 and said["delivered"] == 3
