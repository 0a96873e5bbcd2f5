"""Runs in: stack tests; what dies, freezes or forgets while work is under way, and that nothing is lost (issue "Nothing is lost").

Each test proves that its fault happened and compares every task that was sent with the receipts of what finished. They
run on the embedded runtime, whose processes and servers a test can reach, by `make faults`.
"""

import json
import os
import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from airflow_celery_kit import env_file
from tests.stack.harness.load import Load
from tests.stack.harness.stack import Stack, alive
from tests.stack.harness.wait import wait_for

pytestmark = pytest.mark.faults

OUTAGE_SECONDS = 20.0


@pytest.fixture(scope="module")
def scaled(stack: Stack) -> Iterator[Stack]:
    """The stack with two workers of four slots."""
    if stack.runtime != "embedded":
        pytest.skip("faults run on the embedded runtime")
    stack.kit("scale", "2")
    yield stack
    stack.wait_ready()
    stack.kit("scale", "1")


@pytest.fixture
def two_workers(scaled: Stack) -> Stack:
    """The same, ready, whatever the test before did to it."""
    scaled.wait_ready()
    return scaled


def tree(pid: int) -> list[int]:
    """Return a process with all its descendants."""
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def events(stack: Stack, name: str) -> list[dict]:
    """Return the controller's log lines of one kind."""
    lines = stack.kit("logs", "airflow-controller", "--lines", "2000").stdout.splitlines()
    found = [json.loads(line[line.index("{") :]) for line in lines if '{"event"' in line]
    return [one for one in found if one["event"] == name]


def hands(stack: Stack, worker: str) -> list[dict]:
    """Return nothing but proof that a worker runs again: its instance, once it is healthy."""
    return wait_for(f"{worker} again", lambda: (one := stack.instance(worker)).get("healthy") and one, 90)


@pytest.mark.parametrize("whole_tree", [True, False], ids=["the whole tree", "the main process alone"])
def test_tasks_of_a_killed_worker_run_again_elsewhere_within_a_minute(two_workers: Stack, whole_tree: bool) -> None:
    stack = two_workers
    load = Load.start(stack, tasks=8, seconds=15)
    load.wait_started(8)
    killed = {one["index"] for one in load.receipts("start") if one["host"].endswith("airflow-worker-2")}
    pids = tree(stack.instance("airflow-worker-2")["pid"])
    assert killed and len(pids) > len(killed)
    at = time.time()
    if whole_tree:
        stack.kit("kill", "airflow-worker-2")
    else:
        os.kill(pids[0], signal.SIGKILL)
    wait_for("no process of the killed worker", lambda: not [pid for pid in pids if alive(pid)], 10)
    load.wait_ended()
    again = [one for one in load.receipts("start") if one["index"] in killed and one["attempt"] == 2]
    assert {one["index"] for one in again} == killed == load.second_attempts() == load.started_twice()
    assert max(one["at"] for one in again) - at < 60
    hands(stack, "airflow-worker-2")


def test_workers_that_consume_nothing_are_reported_and_replaced(two_workers: Stack) -> None:
    """One is frozen, the other lost its queue and still answers ping."""
    stack = two_workers
    guards = {name: stack.instance(name)["pid"] for name in ("airflow-worker-1", "airflow-worker-2")}
    mains = {name: psutil.Process(pid).children()[0] for name, pid in guards.items()}
    stack.cancel_consumer("airflow-worker-1", "default")
    mains["airflow-worker-2"].suspend()
    wait_for("a frozen worker", lambda: mains["airflow-worker-2"].status() == psutil.STATUS_STOPPED, 10)
    load = Load.start(stack, tasks=4, seconds=0)
    wait_for("a message that nobody takes", lambda: stack.broker().llen("default") >= 1, 60)
    begun = time.monotonic()
    for name in guards:
        left = 60 - (time.monotonic() - begun)
        wait_for(f"{name} to be reported", lambda name=name: stack.instance(name).get("healthy") is False, left)
    for name, guard in guards.items():
        left = 120 - (time.monotonic() - begun)
        replaced = lambda name=name, guard=guard: (one := stack.instance(name)).get("healthy") and one["pid"] != guard  # noqa: E731
        wait_for(f"another {name}", replaced, left)
    assert [name for name, main in mains.items() if alive(main.pid)] == []
    load.wait_ended()


def test_a_killed_broker_loses_nothing_and_stops_no_worker(two_workers: Stack) -> None:
    stack = two_workers
    workers = {name: stack.instance(name)["pid"] for name in ("airflow-worker-1", "airflow-worker-2")}
    load = Load.start(stack, tasks=24, seconds=3)
    load.wait_started(8)
    broker = stack.instance("valkey-1")["pid"]
    stack.kit("kill", "valkey-1")
    wait_for("another broker process", lambda: stack.instance("valkey-1").get("pid") not in (None, broker), 30)
    load.wait_ended()
    assert load.second_attempts() == load.started_twice() == set()
    assert {name: stack.instance(name)["pid"] for name in workers} == workers


def test_a_broker_that_is_away_costs_no_try(two_workers: Stack) -> None:
    stack = two_workers
    stack.kit("stop", "valkey-1")
    assert not stack.instance("valkey-1").get("pid")
    load = Load.start(stack, tasks=12, seconds=1)
    time.sleep(OUTAGE_SECONDS)
    assert load.receipts("start") == []
    assert stack.instance("airflow-scheduler-1")["healthy"], "the scheduler must stay healthy throughout"
    stack.start_instance("valkey-1")
    load.wait_ended()
    assert load.second_attempts() == load.started_twice() == set()


def test_a_broker_that_comes_back_empty_gets_every_queued_task_again(two_workers: Stack) -> None:
    stack = two_workers
    load = Load.start(stack, tasks=28, seconds=6)
    load.wait_started(8)
    waiting = wait_for("a queue", lambda: (count := stack.broker().llen("default")) >= 8 and count, 30)
    stack.kit("stop", "valkey-1")
    stack.wipe_broker()
    at = time.time()
    stack.start_instance("valkey-1")
    wait_for("the broker", lambda: stack.instance("valkey-1").get("healthy"), 30)
    assert stack.broker().llen("default") < waiting, "it remembers nothing"
    load.wait_ended()
    assert load.second_attempts() == load.started_twice() == set()
    assert {one["task"].split("/")[0] for one in events(stack, "requeue")} >= {"receipts"}
    assert max(one["at"] for one in load.receipts("start")) - at < 90


def test_work_waits_while_no_worker_is_there(two_workers: Stack) -> None:
    stack = two_workers
    for worker in ("airflow-worker-1", "airflow-worker-2"):
        stack.kit("stop", worker)
    load = Load.start(stack, tasks=12, seconds=1)
    wait_for("messages in the queue", lambda: stack.broker().llen("default") >= 1, 60)
    time.sleep(OUTAGE_SECONDS)
    assert load.receipts("start") == []
    for worker in ("airflow-worker-1", "airflow-worker-2"):
        stack.start_instance(worker)
    load.wait_ended()
    assert load.second_attempts() == load.started_twice() == set()


def test_a_scheduler_that_starts_without_a_broker_waits_for_it(two_workers: Stack) -> None:
    stack = two_workers
    stack.kit("stop", "valkey-1")
    before = stack.instance("airflow-scheduler-1")["pid"]
    stack.kit("kill", "airflow-scheduler-1")
    load = Load.start(stack, tasks=6, seconds=1)
    new = wait_for(
        "another scheduler", lambda: (one := stack.instance("airflow-scheduler-1")).get("healthy") and one, 90
    )
    assert new["pid"] != before and load.receipts("start") == []
    stack.start_instance("valkey-1")
    load.wait_ended()
    assert load.second_attempts() == load.started_twice() == set()
    assert stack.instance("airflow-scheduler-1")["pid"] == new["pid"], "it never gave up"


@pytest.mark.parametrize("name", ["airflow-apiserver-1", "postgres-1"])
def test_tasks_survive_while_what_they_report_to_is_away(two_workers: Stack, name: str) -> None:
    stack = two_workers
    load = Load.start(stack, tasks=16, seconds=12)
    load.wait_started(8)
    ended = len(load.receipts("end"))
    stack.kit("stop", name)
    try:
        wait_for("tasks that end meanwhile", lambda: len(load.receipts("end")) >= ended + 4, 60)
        time.sleep(OUTAGE_SECONDS)
        assert not stack.instance(name).get("pid")
    finally:
        stack.start_instance(name)
    stack.wait_ready()
    load.wait_ended()
    assert load.second_attempts() == load.started_twice() == set()


def test_a_message_that_is_delivered_twice_runs_once(two_workers: Stack) -> None:
    stack = two_workers
    load = Load.start(stack, tasks=2, seconds=25)
    load.wait_started(2)
    broker = stack.broker()
    day = 86_400
    tags = broker.zrange("unacked_index", 0, -1)
    assert len(tags) >= 2
    for tag in tags:
        broker.zincrby("unacked_index", -2 * day, tag)
    wait_for(
        "the deliveries to be given out again", lambda: not set(tags) & set(broker.zrange("unacked_index", 0, -1)), 60
    )
    load.wait_ended()
    assert load.second_attempts() == load.started_twice() == set()


def test_a_killed_scheduler_finds_its_tasks_again(two_workers: Stack) -> None:
    stack = two_workers
    load = Load.start(stack, tasks=16, seconds=4)
    load.wait_started(8)
    before = stack.instance("airflow-scheduler-1")["pid"]
    stack.kit("kill", "airflow-scheduler-1")
    wait_for("another scheduler", lambda: stack.instance("airflow-scheduler-1").get("pid") not in (None, before), 60)
    load.wait_ended()
    assert load.second_attempts() == load.started_twice() == set()


def test_another_controller_leads_when_the_leader_is_frozen(two_workers: Stack) -> None:
    stack = two_workers
    env_file.record(stack.settings, {"CONTROLLERS": "2"})
    try:
        stack.make("up")
        leader = wait_for("a leader", stack.leader, 30)
        process = psutil.Process(stack.instance(leader)["pid"])
        process.suspend()
        begun = time.monotonic()
        wait_for("another leader", lambda: stack.leader() not in ("", leader), 30)
        assert time.monotonic() - begun < 15
        process.resume()
        time.sleep(6)
        assert stack.leader() != leader, "the old one must not lead again"
    finally:
        env_file.record(stack.settings, {"CONTROLLERS": "1"})
        stack.make("up")


def test_without_faults_nothing_is_stuck_and_nothing_is_repaired(two_workers: Stack) -> None:
    stack = two_workers
    before = len(events(stack, "requeue") + events(stack, "free"))
    load = Load.start(stack, tasks=16, seconds=1)
    load.wait_started(4)
    assert stack.kit_json("repair", "--dry-run") == {"stuck": []}
    load.wait_ended()
    assert len(events(stack, "requeue") + events(stack, "free")) == before
