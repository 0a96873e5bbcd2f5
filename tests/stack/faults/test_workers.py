"""Runs in: stack tests; workers that are stopped, replaced, killed or starved of memory under load."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_celery_kit import env_file
from tests.stack.faults import inject
from tests.stack.faults.attempts import Kills, unexplained
from tests.stack.faults.conftest import WORKERS, wait_due
from tests.stack.faults.evidence import Evidence
from tests.stack.faults.faults import Fault
from tests.stack.harness.load import Load
from tests.stack.harness.processes import alive
from tests.stack.harness.stack import Stack
from tests.stack.harness.wait import wait_for

VICTIM, SLOTS = WORKERS[1], 4
# Longer than anything takes before the tasks are released, however slow the machine.
HELD = 170


def on(load: Load, worker: str, what: str = "start") -> list[dict]:
    """Return the receipts that tasks left on one worker."""
    return [one for one in load.receipts(what) if one["host"].endswith(worker)]


def every(seconds: float, times: int) -> Iterator[int]:
    """Give numbers in so many seconds' distance."""
    for number in range(times):
        yield number
        time.sleep(seconds)


def unfinished_on(load: Load, worker: str) -> set[int]:
    """Return the tasks that have started on a worker and not ended."""
    return {one["index"] for one in on(load, worker)} & load.unfinished()


@pytest.mark.fault(Fault.WORKER_STOPPED)
def test_a_stopped_worker_finishes_its_tasks_takes_no_more_and_leaves(evidence: Evidence) -> None:
    stack = evidence.stack
    load = evidence.load(tasks=12, seconds=evidence.outage)
    load.wait_started(12)
    process = inject.main_process(stack, VICTIM)
    with ThreadPoolExecutor(1) as background:
        stopped = background.submit(stack.kit, "stop", VICTIM)
        signalled = time.time()
        later = evidence.load(tasks=12, seconds=1)
        wait_for("the worker's end", lambda: not alive(process), evidence.outage + 60)
        gone = time.time()
        evidence.struck(not alive(process), "a worker that has left")
        stopped.result()
    ends = [one["at"] for one in on(load, VICTIM, "end")]
    assert len(ends) == len(on(load, VICTIM)), "it left with tasks unfinished"
    evidence.measure("gone after its last task", gone - max(ends), at_most=5)
    assert not [one for one in on(later, VICTIM) if one["at"] > signalled + 2], "it took a task after the signal"
    stack.start_instance(VICTIM)
    for each in (load, later):
        each.wait_ended()
        each.assert_undisturbed()


@pytest.mark.fault(Fault.WORKER_STOPPED_IN_VAIN)
def test_tasks_that_outlast_the_grace_are_ended_in_time_and_retried(evidence: Evidence) -> None:
    stack = evidence.stack
    with stop_grace(stack, "40s"):
        load = evidence.load(tasks=12, seconds=55)
        load.wait_started(12)
        process, kills, at = inject.main_process(stack, VICTIM), Kills(), time.time()
        with kills.of(VICTIM):
            stack.kit("stop", VICTIM)
        evidence.struck(not alive(process), "a worker that has left")
        evidence.measure("gone", time.time() - at, at_most=40)
        assert evidence.is_stock or "killing them" in stack.kit("logs", VICTIM, "--lines", "200").stdout
        load.wait_ended(240)
    assert unexplained([load], kills) == []
    assert load.started_twice() == load.second_attempts() != set()


@contextlib.contextmanager
def stop_grace(stack: Stack, grace: str) -> Iterator[None]:
    """Give the workers another STOP_GRACE for a while."""
    before = stack.settings["STOP_GRACE"]
    try:
        restart_workers(stack, {"STOP_GRACE": grace})
        yield
    finally:
        restart_workers(stack, {"STOP_GRACE": before})


def restart_workers(stack: Stack, change: dict[str, str]) -> None:
    """Let a changed knob take effect on the workers."""
    stack.kit("drain")
    env_file.record(stack.settings, change)
    stack.make("up")


@pytest.mark.fault(Fault.WORKERS_REPLACED)
def test_workers_are_replaced_in_mid_load(evidence: Evidence) -> None:
    stack = evidence.stack
    load = evidence.load(tasks=300 if evidence.is_stock else 100, seconds=6)
    load.wait_started(12)
    before = {worker: inject.main_process(stack, worker).pid for worker in WORKERS}
    if stack.runtime == "compose":
        inject.put_new_worker_image(stack)
    else:
        for worker in WORKERS:
            stack.kit("drain", worker)
            stack.kit("resume", worker)
    after = {worker: inject.main_process(stack, worker).pid for worker in WORKERS}
    evidence.struck(not set(before.values()) & set(after.values()), "three other workers")
    replaced_at = time.time()
    load.wait_ended()
    assert max(one["at"] for one in load.receipts("end")) > replaced_at, "it must have been in mid-load"
    load.assert_undisturbed()


@pytest.mark.fault(Fault.WORKER_TREE_KILLED)
def test_tasks_of_a_killed_worker_run_again_elsewhere(evidence: Evidence) -> None:
    kill_and_compare(evidence, lambda stack: stack.kit("kill", VICTIM))


@pytest.mark.fault(Fault.WORKER_MAIN_KILLED)
def test_tasks_of_a_worker_whose_main_process_is_killed_run_again_elsewhere(evidence: Evidence) -> None:
    kill_and_compare(evidence, lambda stack: inject.main_process(stack, VICTIM).kill())


@pytest.mark.fault(Fault.CONTAINER_OUT_OF_MEMORY)
def test_a_container_that_is_killed_for_its_memory_disturbs_no_other(evidence: Evidence) -> None:
    """The kernel ends a container by killing its first process; Docker takes that for a crash and starts it again."""
    kill_and_compare(evidence, lambda stack: os.kill(stack.instance(VICTIM)["pid"], signal.SIGKILL))


def kill_and_compare(evidence: Evidence, kill: object) -> None:
    """Kill a worker with running tasks; exactly these run a second time, within a minute."""
    stack = evidence.stack
    load = evidence.load(tasks=12, seconds=HELD)
    load.wait_started(12)
    victims = inject.tree(stack, VICTIM)
    killed, at = unfinished_on(load, VICTIM), time.time()
    assert killed and len(victims) > len(killed)
    kill(stack)
    inject.wait_gone(victims[1:])
    evidence.struck(not alive(victims[1]), "a worker's main process dead")
    stack.release(load.run_id)
    load.wait_ended()
    again = [one for one in load.receipts("start") if one["index"] in killed and one["at"] > at]
    evidence.measure("running again", max(one["at"] for one in again) - at, at_most=60)
    assert {one["index"] for one in again} == killed == load.second_attempts() == load.started_twice()


@pytest.mark.fault(Fault.WORKER_KILLED_UNDER_QUEUE)
def test_a_worker_reserves_nothing_that_it_does_not_run(evidence: Evidence) -> None:
    stack = evidence.stack
    load = evidence.load(tasks=36, seconds=10)
    load.wait_started(12)
    wait_for("a queue", lambda: stack.waiting() >= 12, 30)
    looks = [stack.broker().hlen("unacked") for _ in every(0.2, times=25)]
    assert max(looks) == len(WORKERS) * SLOTS, looks
    started, at, kills = {one["index"] for one in load.receipts("start")}, time.time(), Kills()
    victims = inject.tree(stack, VICTIM)
    with kills.of(VICTIM):
        stack.kit("kill", VICTIM)
    inject.wait_gone(victims)
    evidence.struck(not any(alive(one) for one in victims), "a worker's tree dead")
    load.wait_ended()
    first = {one["index"]: one["at"] for one in reversed(load.receipts("start"))}
    evidence.measure(
        "everything started", max(when for index, when in first.items() if index not in started) - at, at_most=60
    )
    assert unexplained([load], kills) == []
    # One that was killed before its first line has left a receipt of its second run alone.
    assert load.started_twice() <= load.second_attempts() != set()


@pytest.mark.fault(Fault.TASK_OUT_OF_MEMORY)
def test_a_task_that_eats_all_memory_ends_alone(evidence: Evidence) -> None:
    stack = evidence.stack
    load = evidence.load(tasks=6, seconds=25)
    load.wait_started(6)
    with inject.little_memory(stack, WORKERS):
        run = stack.start_dag("hungry")
        victim = inject.starve(stack, run)
        evidence.struck(not alive(victim), "a task process dead")
        at = time.time()
        stack.wait_task("hungry", run, "eat", ("failed", "up_for_retry"), 60)
        evidence.measure("reported", time.time() - at, at_most=30)
        load.wait_ended()
    load.assert_undisturbed()
    assert stack.wait_run("hungry", run) == "failed"


@pytest.mark.fault(Fault.POOL_OUT_OF_MEMORY)
def test_a_pool_process_that_is_killed_takes_its_own_task_alone(evidence: Evidence) -> None:
    """The kernel kills the process that holds most; what it sends is SIGKILL."""
    stack = evidence.stack
    load = evidence.load(tasks=12, seconds=HELD)
    load.wait_started(12)
    victim = inject.pool_processes_with_a_task(stack, VICTIM)[0]
    victim.kill()
    at = time.time()
    inject.wait_gone([victim])
    evidence.struck(not alive(victim), "a pool process dead")
    wait_for("the report", lambda: load.states().get("running", 0) == 11, 60, load.states)
    evidence.measure("reported", time.time() - at, at_most=30)
    stack.release(load.run_id)
    load.wait_ended()
    assert load.second_attempts() == load.started_twice()
    assert len(load.second_attempts()) == 1


@pytest.mark.fault(Fault.WORKERS_AWAY)
def test_work_waits_while_no_worker_is_there(evidence: Evidence) -> None:
    stack = evidence.stack
    running = evidence.load(tasks=12, seconds=5)
    running.wait_started(12)
    stack.kit("drain")
    load = evidence.load(tasks=100, seconds=0, dag="hundred_receipts")
    # A slot's next task is sent ahead, for as many slots as the controller still knows of; what waits beyond that waits in Airflow.
    wait_for("messages in the queue", lambda: stack.waiting() >= 1, 60, stack.waiting)
    wait_due(load)
    evidence.struck(not stack.worker_names(), "no worker")
    time.sleep(evidence.outage)
    assert load.receipts("start") == []
    stack.kit("resume")
    for each in (running, load):
        each.wait_ended()
        each.assert_undisturbed()
