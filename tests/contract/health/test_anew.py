"""Runs in: contract tests; what ended without a word and was started anew: broker, jobs, workers, controllers."""

import re
import socket
import time

import pytest

from airflow_celery_kit.controller.lease import Lease, give_back
from airflow_celery_kit.controller.sight import Connections
from airflow_celery_kit.core.health import State, Verdict
from airflow_celery_kit.health import anew
from airflow_celery_kit.health.controller import Controller
from airflow_celery_kit.health.jobs import Scheduler
from airflow_celery_kit.health.looking import look
from airflow_celery_kit.health.main import Health
from airflow_celery_kit.health.valkey import Valkey
from airflow_celery_kit.health.workers import Workers
from airflow_celery_kit.worker.broker import REPORT_KEY
from tests.contract.health.conftest import state_of
from tests.contract.servers import wait_for
from tests.contract.tables import METADATA


@pytest.fixture
def later(monkeypatch):
    """Lets the time go by in which it is told."""
    real = time.monotonic

    def go(seconds: float = anew.TOLD_SECONDS) -> None:
        monkeypatch.setattr(anew.time, "monotonic", lambda: real() + seconds)

    yield go
    monkeypatch.setattr(anew.time, "monotonic", real)


def test_a_broker_that_was_killed_between_two_looks_is_told_for_a_while(own, later):
    check = Valkey()
    assert state_of(check)[0] == state_of(check)[0] == "Healthy"
    own.kill()
    own.start()
    state, why = state_of(check)
    assert state == "Degraded" and why.startswith("started anew") and "without its data" not in why
    later()
    assert state_of(check)[0] == "Healthy"


def test_a_broker_whose_absence_was_told_is_not_told_again_when_it_comes_back(own):
    check = Valkey()
    assert state_of(check)[0] == "Healthy"
    own.kill()
    assert [state_of(check)[0] for _ in range(check.confirm)] == ["Unhealthy"] * check.confirm
    own.start()
    assert state_of(check)[0] == "Healthy"
    own.kill()
    assert state_of(check)[0] == "Unhealthy", "once: nobody believes it yet"
    own.start()
    assert state_of(check)[0] == "Degraded"


def test_a_broker_that_comes_back_empty_is_told_as_that(own):
    check = Valkey()
    state_of(check)
    own.client.flushall()
    own.kill()
    own.start()
    state, why = state_of(check)
    assert state == "Degraded" and "without its data" in why


def test_a_broker_that_is_seen_for_the_first_time_was_always_there(own):
    assert state_of(Valkey())[0] == "Healthy"


def evict(client) -> None:
    """Have it throw keys away, and give it room again."""
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("maxmemory", client.info("memory")["used_memory"] + (1 << 20))
    for number in range(400):
        client.set(f"filler{number}", "x" * 10_000)
    client.config_set("maxmemory", 0)
    assert client.info("stats")["evicted_keys"]


def refuse(client) -> None:
    """Have it refuse a connection, and take as many as before."""
    most = client.config_get("maxclients")["maxclients"]
    client.config_set("maxclients", client.info("clients")["connected_clients"])
    port = client.connection_pool.connection_kwargs["port"]
    with socket.create_connection(("127.0.0.1", port)) as one:
        assert b"max number of clients" in one.recv(100)
    client.config_set("maxclients", most)


@pytest.mark.parametrize(
    ("happens", "state", "why"),
    [(evict, State.UNHEALTHY, r"[1-9]\d* keys evicted"), (refuse, State.DEGRADED, "1 refused")],
)
def test_what_a_broker_has_done_between_two_looks_is_told_until_it_is_confirmed_and_then_no_more(
    own, later, happens, state, why
):
    check, health = Valkey(), Health([], lambda *_, **__: None)

    def judged() -> Verdict:
        for at in range(check.confirm):
            health.take(check, look(check, {}), float(at))
        (one,) = health.verdicts()
        return one

    assert judged().state == State.HEALTHY, "what it had done before was always so"
    happens(own.client)
    one = judged()
    assert one.state == state and re.search(why, one.why)
    later()
    assert judged().state == State.HEALTHY


@pytest.mark.parametrize(
    ("before", "state"), [("running", State.DEGRADED), ("failed", State.DEGRADED), ("success", State.HEALTHY)]
)
def test_a_scheduler_that_follows_one_that_ended_without_a_word_is_told(found, measured, before, state):
    check = Scheduler()
    heart(measured, "scheduler-1", 1, 9)
    assert found(check)["scheduler"].state == State.HEALTHY
    measured.query("UPDATE job SET state = %s", before, **METADATA)
    heart(measured, "scheduler-1", 2, 0)
    one = found(check)["scheduler"]
    assert one.state == state and ("scheduler-1 was started anew" in one.why) == (state == State.DEGRADED)
    heart(measured, "scheduler-2", 3, 0)
    check.anew.since.clear()
    assert found(check)["scheduler"].state == State.HEALTHY, "another one beside it is no second start"


def heart(stack, host: str, number: int, age: float) -> None:
    """Leave a scheduler's heartbeat."""
    put = "INSERT INTO job (id, job_type, hostname, state, latest_heartbeat) VALUES (%s, 'SchedulerJob', %s, 'running', now() - %s * interval '1 s')"
    stack.query(put, number, host, age, **METADATA)


def test_a_scheduler_that_was_stopped_for_long_is_not_told_when_it_is_started(found, measured):
    check = Scheduler()
    heart(measured, "scheduler-1", 1, 9)
    found(check)
    measured.query("UPDATE job SET state = 'success', latest_heartbeat = now() - interval '2 hours'", **METADATA)
    assert found(check)["scheduler"].state == State.UNHEALTHY
    heart(measured, "scheduler-1", 2, 0)
    assert found(check)["scheduler"].state == State.HEALTHY


@pytest.mark.parametrize(("told", "state"), [(False, State.DEGRADED), (True, State.HEALTHY)])
def test_a_worker_that_follows_one_that_was_killed_is_told_and_one_that_was_restarted_is_not(
    found, reports, told, state
):
    check = Workers()
    reports(since=1.0, told=False)
    assert found(check)["worker-1"].state == State.HEALTHY
    reports(since=2.0, told=told)
    assert found(check)["worker-1"].state == state


def test_a_real_worker_says_whether_the_one_before_it_left_as_told(bench):
    client, said = bench.broker.client, []

    def starts() -> object:
        worker = bench.begin(options={"hostname": "smoke@same"})
        worker.says("smoke@same ready.")
        wait_for("its report", lambda: client.exists(f"{REPORT_KEY}smoke@same"))
        said.append('"told": true' in client.get(f"{REPORT_KEY}smoke@same"))
        return worker

    first = starts()
    first.send(15)
    first.exits()
    second = starts()
    second.process.kill()
    wait_for("the end of its report", lambda: not client.exists(f"{REPORT_KEY}smoke@same"))
    starts()
    assert said == [False, True, False]


def test_a_leader_that_follows_one_that_died_is_told_and_one_that_was_given_the_lease_is_not(found, measured):
    first, second, third = (Lease(Connections().metadata, "repair", name) for name in ("one", "two", "three"))
    assert first.hold() and found(Controller())["controller"].state == State.HEALTHY, "nobody led before"
    measured.query("UPDATE kit.lease SET expires_at = now() - interval '1 s'", **METADATA)
    assert first.hold() and found(Controller())["controller"].state == State.HEALTHY, "it goes on"
    measured.query("UPDATE kit.lease SET expires_at = now() - interval '1 s'", **METADATA)
    assert second.hold()
    one = found(Controller())["controller"]
    assert one.state == State.DEGRADED and "two leads since 0 s ago, one did before and ended without a word" in one.why
    assert not third.hold()
    give_back(Connections().metadata, "two")
    assert third.hold() and not second.hold(), "at once"
    assert found(Controller())["controller"].state == State.HEALTHY


def test_a_change_of_leaders_is_told_also_by_a_look_that_comes_late(found, measured, later):
    check, first, second = Controller(), *(Lease(Connections().metadata, "repair", name) for name in ("one", "two"))
    assert first.hold() and found(check)["controller"].state == State.HEALTHY
    measured.query("UPDATE kit.lease SET expires_at = now() - interval '1 s'", **METADATA)
    assert second.hold()
    measured.query("UPDATE kit.lease SET taken_at = now() - interval '20 s'", **METADATA)
    assert found(check)["controller"].state == found(check)["controller"].state == State.DEGRADED
    later()
    assert found(check)["controller"].state == State.HEALTHY


def test_a_leader_that_restarts_without_a_word_under_its_name_is_told(found):
    before, after = (Lease(Connections().metadata, "repair", "one") for _ in range(2))
    assert before.hold() and after.hold()
    assert found(Controller())["controller"].state == State.DEGRADED
