"""Runs in: stack tests; a broker that restarts, dies, forgets, freezes, fills up or is not there."""

import itertools
import json
import time

import pytest
import valkey

from tests.stack.faults import inject
from tests.stack.faults.conftest import WORKERS, wait_due
from tests.stack.faults.evidence import Evidence
from tests.stack.faults.faults import Fault
from tests.stack.faults.health import await_told, told
from tests.stack.faults.spared import spared
from tests.stack.harness.load import Load
from tests.stack.harness.stack import Stack
from tests.stack.harness.wait import wait_for

AGAIN = "was delivered again"
NOT_THEIRS = "a worker was replaced for what its broker has"

BROKER, SCHEDULER = "valkey-1", "airflow-scheduler-1"
# What the workers have together.
SLOTS = 4 * len(WORKERS)
# Longer than anything takes before the tasks are released.
LONG_SECONDS = 1800


def main_pids(stack: Stack) -> dict[str, int]:
    """Return the main process of each worker."""
    return {name: inject.main_process(stack, name).pid for name in WORKERS}


def answers(stack: Stack) -> bool:
    """Return whether the broker answers."""
    try:
        return bool(stack.broker().ping())
    except (valkey.ValkeyError, OSError, IndexError, KeyError):
        return False


def wait_start_after(load: Load, at: float, seconds: float) -> float:
    """Wait for a task that starts after a moment; return when it did."""
    later = lambda: next((one["at"] for one in load.receipts("start") if one["at"] > at), 0.0)  # noqa: E731
    return wait_for("a task that starts afterwards", later, seconds, load.states)


def queue_of_a_hundred(evidence: Evidence) -> Load:
    """Return a hundred tasks of which most are queued, however slow the machine: others keep all slots but one until then."""
    keepers = evidence.load(tasks=SLOTS - 1, seconds=LONG_SECONDS)
    keepers.wait_started(keepers.tasks)
    load = evidence.load(tasks=100, seconds=4)
    wait_for("a hundred messages", lambda: evidence.stack.waiting() >= 80, 90, load.states)
    evidence.stack.release(keepers.run_id)
    return load


@pytest.mark.fault(Fault.BROKER_RESTARTED)
def test_a_broker_that_restarts_disturbs_nobody(evidence: Evidence) -> None:
    bring_down_and_compare(evidence, lambda stack: inject.restart(stack, BROKER))


@pytest.mark.fault(Fault.BROKER_KILLED)
def test_a_killed_broker_loses_nothing(evidence: Evidence) -> None:
    stack = evidence.stack
    bring_down_and_compare(evidence, lambda stack: stack.kit("kill", BROKER))
    if not evidence.is_stock:
        assert stack.kit_json("repair", "--dry-run") == {"stuck": []}


def bring_down_and_compare(evidence: Evidence, bring_down: object) -> None:
    """Take the broker down for a moment; the same workers consume again at once and every task runs once."""
    stack = evidence.stack
    workers = main_pids(stack)
    load = queue_of_a_hundred(evidence)
    broker = stack.instance(BROKER)["pid"]
    with spared(evidence, SCHEDULER, *WORKERS):
        bring_down(stack)
        again = wait_for("another broker process", lambda: another(stack, BROKER, broker), 30)
        evidence.struck(again != broker, "another process of the broker")
        wait_for("its answer", lambda: answers(stack), 30)
        back = time.time()
        evidence.measure("consuming again", wait_start_after(load, back, 60) - back, at_most=15)
        load.wait_ended(300)
    starts = sorted(one["at"] for one in load.receipts("start"))
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    evidence.measure("longest time without a start", max(gaps), at_most=60)
    load.assert_undisturbed()
    assert main_pids(stack) == workers


def another(stack: Stack, instance: str, pid: int) -> int:
    """Return the id of an instance's first process once it is another one, 0 until then."""
    now = stack.instance(instance).get("pid")
    return now if now and now != pid else 0


@pytest.mark.fault(Fault.BROKER_WIPED)
def test_a_broker_that_comes_back_empty_gets_every_queued_task_again(evidence: Evidence) -> None:
    stack = evidence.stack
    load = evidence.load(tasks=36, seconds=6)
    load.wait_started(12)
    before = wait_for("a queue", lambda: (count := stack.waiting()) >= 12 and count, 30)
    stack.kit("stop", BROKER)
    stack.wipe_broker()
    stack.start_instance(BROKER)
    at = time.time()
    wait_for("the broker", lambda: answers(stack), 30)
    evidence.struck(stack.waiting() < before, "a broker that remembers nothing")
    load.wait_ended()
    evidence.measure("everything started", max(one["at"] for one in load.receipts("start")) - at, at_most=90)
    load.assert_undisturbed()


@pytest.mark.fault(Fault.BROKER_AWAY)
def test_a_broker_that_is_away_costs_no_try(evidence: Evidence) -> None:
    stack = evidence.stack
    workers = main_pids(stack)
    stack.kit("stop", BROKER)
    evidence.struck(not answers(stack), "a broker that is away")
    load = evidence.load(tasks=100, seconds=0, dag="hundred_receipts")
    with spared(evidence, SCHEDULER, *WORKERS):
        with told(evidence, "broker", "Unhealthy") as watch:
            time.sleep(evidence.outage)
            assert not stack.instance(BROKER).get("pid")
            wait_due(load)
            await_told(watch)
            assert load.receipts("start") == []
            at = time.time()
            stack.start_instance(BROKER)
            wait_for("its answer", lambda: answers(stack), 30)
        load.wait_ended(240)
    evidence.measure("first start after its return", load.receipts("start")[0]["at"] - at, at_most=60)
    wait_for("Flower to see the workers again", lambda: len(stack.registered()) == len(WORKERS), 30 * evidence.slack)
    load.assert_undisturbed()
    assert main_pids(stack) == workers, NOT_THEIRS


@pytest.mark.fault(Fault.BROKER_FROZEN)
def test_work_goes_on_after_a_frozen_broker(evidence: Evidence) -> None:
    stack = evidence.stack
    workers = main_pids(stack)
    load = queue_of_a_hundred(evidence)
    with spared(evidence, SCHEDULER, *WORKERS):
        with told(evidence, "broker", "Unhealthy") as watch:
            with inject.frozen(stack, BROKER):
                stand_still(evidence, load)
                await_told(watch)
                assert not answers(stack)
            back = time.time()
        resume_and_compare(evidence, load, back)
    assert main_pids(stack) == workers, NOT_THEIRS


@pytest.mark.fault(Fault.PACKETS_DROPPED)
def test_work_goes_on_after_a_network_that_dropped_everything(evidence: Evidence) -> None:
    stack = evidence.stack
    workers = main_pids(stack)
    load = queue_of_a_hundred(evidence)
    lost = {"subject": WORKERS[0], "why": "last heard of"}
    with told(evidence, "workers", "Unhealthy", **lost) as watch:
        with inject.packets_dropped(stack, list(WORKERS)):
            stand_still(evidence, load)
            await_told(watch)
            failing = [one["detail"] for one in stack.instances(*WORKERS) if one["healthy"] is False]
            assert not failing, "where all are cut off nobody can tell it from a broker that is away"
        back = time.time()
    resume_and_compare(evidence, load, back)
    assert main_pids(stack) == workers, NOT_THEIRS


def stand_still(evidence: Evidence, load: Load) -> None:
    """Wait for the outage; in its second half no task may start, although more are queued than all slots could have done."""
    time.sleep(evidence.outage / 2)
    halfway = len(load.receipts("start"))
    time.sleep(evidence.outage / 2)
    evidence.struck(len(load.receipts("start")) == halfway < load.tasks, "a queue that nobody takes from")


def resume_and_compare(evidence: Evidence, load: Load, back: float) -> None:
    """Compare what happens once the broker can be reached again, which it could from `back` on."""
    evidence.measure("resumed", wait_start_after(load, back, 120) - back, at_most=60)
    load.wait_ended(300)
    load.assert_undisturbed()


@pytest.mark.fault(Fault.BROKER_FULL)
def test_a_full_broker_is_told_and_loses_nothing(evidence: Evidence) -> None:
    stack = evidence.stack
    running = evidence.load(tasks=12, seconds=20)
    running.wait_started(12)
    with told(evidence, "broker", "Unhealthy", "maxmemory") as watch:
        with inject.full(stack):
            with pytest.raises(inject.broker_refusal()):
                stack.broker().append("filler", b"x" * 4096)
            evidence.struck(True, "a write that is refused")
            load = evidence.load(tasks=100, seconds=0, dag="hundred_receipts")
            alarm = wait_for("the alarm", lambda: (one := stack.instance(BROKER)).get("healthy") is False and one, 60)
            assert "is full" in alarm["detail"]
            said = lambda: "is full" in stack.log(SCHEDULER, 5000)  # noqa: E731
            evidence.is_stock or wait_for("the scheduler's word", said, 60)
            wait_for("the running tasks", lambda: len(running.receipts("end")) == 12, 60)
            await_told(watch)
            assert load.receipts("start") == []
        at = time.time()
    for each in (running, load):
        each.wait_ended(240)
        each.assert_undisturbed()
    evidence.measure("first start after there was room", load.receipts("start")[0]["at"] - at, at_most=60)


@pytest.mark.fault(Fault.SCHEDULER_WITHOUT_BROKER)
def test_a_scheduler_that_starts_without_a_broker_waits_for_it(evidence: Evidence) -> None:
    stack = evidence.stack
    stack.kit("stop", BROKER)
    before = stack.instance(SCHEDULER)["pid"]
    stack.kit("kill", SCHEDULER)
    load = evidence.load(tasks=100, seconds=0, dag="hundred_receipts")
    wait_for("another scheduler", lambda: another(stack, SCHEDULER, before), 60)
    new = inject.main_process(stack, SCHEDULER).pid
    evidence.struck(not answers(stack), "a scheduler that started without a broker")
    with told(evidence, "broker", "Unhealthy") as watch:
        wait_due(load)
        time.sleep(10)
        await_told(watch)
        assert load.receipts("start") == []
        stack.start_instance(BROKER)
    load.wait_ended()
    load.assert_undisturbed()
    assert inject.main_process(stack, SCHEDULER).pid == new, "it must never have given up"


@pytest.mark.fault(Fault.WORKER_WITHOUT_BROKER)
def test_a_worker_that_starts_without_a_broker_waits_for_it(evidence: Evidence) -> None:
    stack, (worker, *others) = evidence.stack, WORKERS
    for each in others:
        stack.kit("stop", each)
    stack.kit("stop", BROKER)
    before = stack.instance(worker)["pid"]
    stack.kit("kill", worker)
    new = wait_for("another process of the worker", lambda: another(stack, worker, before), 60)
    evidence.struck(not answers(stack), "a worker that started without a broker")
    load = evidence.load(tasks=100, seconds=0, dag="hundred_receipts")
    with told(evidence, "broker", "Unhealthy") as watch:
        if not evidence.is_stock:
            said = lambda: stack.log(worker, 20)  # noqa: E731
            wait_for("its word that it waits", lambda: "the worker waits: broker" in said(), 60, said)
        await_told(watch)
        assert load.receipts("start") == []
        stack.start_instance(BROKER)
        at = time.time()
    wait_for("the worker", lambda: load.receipts("start"), 120, load.states)
    evidence.measure("consuming after the broker's return", load.receipts("start")[0]["at"] - at, at_most=60)
    assert stack.instance(worker)["pid"] == new, "it must never have given up"
    for each in others:
        stack.start_instance(each)
    load.wait_ended(240)
    load.assert_undisturbed()


@pytest.mark.fault(Fault.REDELIVERED)
def test_a_message_that_is_delivered_again_runs_once(evidence: Evidence) -> None:
    stack, day = evidence.stack, 86_400
    workers = {name: inject.main_process(stack, name).pid for name in WORKERS}
    load = evidence.load(tasks=2, seconds=60)
    load.wait_started(2)
    broker = stack.broker()
    deliveries = lambda: broker.zrange("unacked_index", 0, -1)  # noqa: E731
    tags = wait_for("two deliveries", lambda: len(found := deliveries()) == 2 and found, 30, deliveries)
    messages = [json.loads(broker.hget("unacked", tag))[0]["headers"]["id"] for tag in tags]
    for tag in tags:
        broker.zincrby("unacked_index", -2 * day, tag)
    wait_for(
        "the second delivery",
        lambda: not set(tags) & set(deliveries()),
        330 if evidence.is_stock else 60,
    )
    evidence.struck(True, "both messages with other tags")
    if not evidence.is_stock:
        wait_for(
            "a warning for each", lambda: warnings(stack, messages) == [1, 1], 60, lambda: warnings(stack, messages)
        )
    load.wait_ended()
    load.assert_undisturbed()
    assert evidence.is_stock or warnings(stack, messages) == [1, 1]
    assert main_pids(stack) == workers


def warnings(stack: Stack, messages: list[str]) -> list[int]:
    """Return how often workers have warned of a second delivery of each of these messages."""
    said = [
        line for line in stack.kit("logs", "airflow-worker", "--lines", "5000").stdout.splitlines() if AGAIN in line
    ]
    return [sum(message in line for line in said) for message in messages]
