"""Runs in: contract tests; workers, clocks, secrets and versions by reports in a real broker and rows in a real database."""

import json
import time

import pytest

from airflow_celery_kit.core.health import State
from airflow_celery_kit.health.agreement import Secrets, Versions
from airflow_celery_kit.health.clock import Clock
from airflow_celery_kit.health.memory import Memory
from airflow_celery_kit.health.workers import LOST_SECONDS, Workers
from airflow_celery_kit.worker.broker import LEFT_KEY
from tests.contract.tables import METADATA

ON_WHEELS_ALONE = True


@pytest.mark.parametrize(
    ("said", "state", "why"),
    [
        ({}, State.HEALTHY, "0 of 4 slots in use"),
        ({"held": ["a", "b", "c", "d"]}, State.HEALTHY, "4 of 4 slots in use"),
        ({"deaf": True}, State.UNHEALTHY, "takes none"),
        ({"consuming": []}, State.UNHEALTHY, "does not listen to default"),
        ({"consuming": [], "deaf": True}, State.UNHEALTHY, "does not listen to default"),
        ({"consuming": [], "drained": True}, State.HEALTHY, "as it was told"),
        ({"short": "out of disk: 1 MiB left for logs"}, State.UNHEALTHY, "1 MiB left for logs"),
        ({"disk": {"logs": 100 << 20}}, State.DEGRADED, "100 MiB left"),
        ({"memory": {"free": 1 << 20, "total": 1 << 30}}, State.DEGRADED, "1 MiB left of 1024"),
    ],
)
def test_what_a_worker_says_of_itself_is_judged(found, reports, said, state, why):
    reports(**said)
    reports("worker-2")
    seen = found(Workers())
    assert (seen["worker-1"].state, seen["workers"].state) == (state, State.HEALTHY) and why in seen["worker-1"].why
    assert seen["worker-2"].state == State.HEALTHY


def test_a_report_of_an_older_worker_is_taken_as_it_is(found, measured):
    measured.valkey.set("kit:worker:old", json.dumps({"held": [], "queues": ["default"], "slots": 4}), ex=60)
    assert found(Workers())["old"].state == State.HEALTHY


def test_without_a_worker_no_task_runs(found):
    one = found(Workers())["workers"]
    assert (one.state, one.vital) == (State.UNHEALTHY, True)


def test_who_falls_silent_is_lost_and_who_left_as_told_is_not(found, reports, measured, monkeypatch):
    check, clock = Workers(), [1000.0]
    monkeypatch.setattr("airflow_celery_kit.health.workers.time.monotonic", lambda: clock[0])
    for name in ("stays", "dies", "leaves"):
        reports(name)
    assert {one.state for one in found(check).values()} == {State.HEALTHY}
    measured.valkey.delete("kit:worker:dies", "kit:worker:leaves")
    measured.valkey.set(f"{LEFT_KEY}leaves", "told", ex=60)
    for seconds, states in ((10, 0), (LOST_SECONDS + 1, 1)):
        clock[0] = 1000 + seconds
        reports("stays")
        seen = found(check)
        assert sum(one.state == State.UNHEALTHY for one in seen.values()) == states and "leaves" not in seen
    assert "21 s ago" in seen["dies"].why
    reports("dies")
    assert found(check)["dies"].state == State.HEALTHY


def test_a_queue_whose_only_worker_is_silent_is_named_at_once_and_one_that_was_told_to_leave_is_not(
    found, reports, measured
):
    check = Workers()
    reports("one", queues=["default", "shared"])
    reports("two", queues=["heavy", "shared"])
    assert found(check)["workers"].state == State.HEALTHY
    measured.valkey.delete("kit:worker:one")
    one = found(check)["workers"]
    assert (one.state, one.vital, one.why) == (State.UNHEALTHY, False, "no worker takes from default")
    check.looked -= 20
    assert found(check)["workers"].state == State.HEALTHY, "the broker was away: who is silent may be on its way back"
    assert found(check)["workers"].state == State.UNHEALTHY
    measured.valkey.set(f"{LEFT_KEY}one", "told", ex=60)
    assert found(check)["workers"].state == State.HEALTHY


@pytest.mark.parametrize("outage", [Workers.every, 300])
def test_a_broker_that_was_away_makes_no_worker_lost_before_it_could_come_back(
    found, reports, measured, monkeypatch, outage
):
    check, clock = Workers(), [1000.0]
    monkeypatch.setattr("airflow_celery_kit.health.workers.time.monotonic", lambda: clock[0])
    reports("one")
    reports("two")
    found(check)
    measured.valkey.delete("kit:worker:one")
    clock[0] += outage + check.every
    for _ in range(2):
        assert "one" not in found(check)
        clock[0] += check.every
    assert found(check)["one"].state == State.UNHEALTHY


def test_a_controller_that_takes_over_misses_who_died_before(found, reports, monkeypatch):
    check, clock = Workers(), [1000.0]
    monkeypatch.setattr("airflow_celery_kit.health.workers.time.monotonic", lambda: clock[0])
    check.remember({"workers", "gone"})
    reports("here")
    found(check)
    for _ in range(2):
        clock[0] += check.every
        reports("here")
        seen = found(check)
    assert seen["gone"].state == State.UNHEALTHY


@pytest.mark.parametrize(
    ("off", "state", "why"),
    [(0, State.HEALTHY, "off"), (-5, State.DEGRADED, "5 s behind"), (60, State.UNHEALTHY, "60 s ahead")],
)
def test_a_wrong_clock_is_seen_in_a_report_whatever_its_age(found, reports, off, state, why):
    reports(at=time.time() + off - 4, life=6)
    seen = found(Clock())
    assert seen["worker-1"].state == state and why in seen["worker-1"].why
    assert seen["broker"].state == seen["metadata-database"].state == State.HEALTHY


def service(stack, name: str, beats: bool = True, **facts) -> None:
    """Let a service say something of itself."""
    said = {"versions": {"kit": "1"}, "secrets": {"hashes": {"JWT secret": "a"}, "exposed": [], "weak": []}} | facts
    stack.query(
        "INSERT INTO kit.service (service, instance, facts) VALUES (%s, %s, %s)",
        name,
        f"{name}-1",
        json.dumps(said),
        **METADATA,
    )
    if beats:
        stack.query(
            "INSERT INTO job (hostname, state, latest_heartbeat) VALUES (%s, 'running', now())", f"{name}-1", **METADATA
        )


def test_secrets_that_differ_are_named_and_those_who_are_gone_do_not_count(found, measured, reports):
    other = {"hashes": {"JWT secret": "b"}, "exposed": [], "weak": []}
    service(measured, "airflow-apiserver", beats=False)
    service(measured, "old-scheduler", beats=False, secrets=other)
    reports()
    assert found(Secrets())["secrets"].state == State.HEALTHY
    service(measured, "airflow-scheduler", secrets=other)
    one = found(Secrets())["secrets"]
    assert one.state == State.UNHEALTHY and one.why.endswith("another JWT secret")
    reports("worker-2", secrets={"hashes": {"broker password": "b"}})
    assert "broker password" in found(Secrets())["secrets"].why


def test_a_secret_that_is_open_or_a_default_is_insecure(found, measured, reports):
    service(measured, "airflow-scheduler", secrets={"hashes": {}, "exposed": ["Fernet key"], "weak": []})
    one = found(Secrets())["secrets"]
    assert (one.state, one.why) == (State.INSECURE, "Fernet key of airflow-scheduler-1")


def test_versions_that_differ_are_degraded(found, measured, reports):
    service(measured, "airflow-scheduler")
    reports()
    assert found(Versions())["versions"].state == State.HEALTHY
    reports("worker-2", versions={"kit": "2"})
    one = found(Versions())["versions"]
    assert (one.state, one.why) == (State.DEGRADED, "worker-2: another kit (2, the others have 1)")


def test_memory_that_a_task_needs_is_looked_for_on_the_workers_of_its_queue(found, reports):
    check = Memory("join", "4g", queue="heavy")
    little = {"queues": ["heavy"], "memory": {"free": 1 << 30, "total": 8 << 30}}
    reports("other")
    assert found(check)["join"].state == State.UNHEALTHY
    reports("small", **little)
    assert found(check)["join"].state == State.UNHEALTHY
    reports("large", queues=["heavy"])
    assert found(check)["join"].state == State.DEGRADED
    reports("small", **little | {"memory": {"free": 5 << 30, "total": 8 << 30}})
    assert found(check)["join"].state == State.HEALTHY
