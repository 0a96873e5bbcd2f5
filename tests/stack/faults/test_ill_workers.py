"""Runs in: stack tests; workers that are there and do no work: frozen, deaf, cut off, without room on their disk."""

import contextlib
import time
from collections.abc import Collection, Iterator

import psutil
import pytest

from airflow_celery_kit.worker import room
from airflow_celery_kit.worker.way_out import LOOK_SECONDS
from tests.stack.faults import inject
from tests.stack.faults.conftest import WORKERS
from tests.stack.faults.evidence import Evidence
from tests.stack.faults.faults import Fault
from tests.stack.faults.health import await_told, told
from tests.stack.faults.test_workers import HELD, VICTIM, on
from tests.stack.harness.processes import alive
from tests.stack.harness.stack import Stack
from tests.stack.harness.wait import wait_for


@pytest.mark.fault(Fault.WORKERS_SILENT)
def test_workers_that_consume_nothing_are_reported_and_replaced(evidence: Evidence) -> None:
    """One is frozen, another lost its queue and still answers ping; the third is stopped, so that messages wait."""
    stack = evidence.stack
    deaf, frozen, third = WORKERS
    stack.kit("stop", third)
    mains = {name: inject.main_process(stack, name) for name in (deaf, frozen)}
    stack.cancel_consumer(deaf, "default")
    mains[frozen].suspend()
    wait_for("a frozen worker", lambda: mains[frozen].status() == psutil.STATUS_STOPPED, 10)
    evidence.struck(
        mains[frozen].status() == psutil.STATUS_STOPPED and alive(mains[deaf]), "a frozen and a deaf worker"
    )
    begun, seen = time.monotonic(), set[str]()
    said = {deaf: "does not listen to default", frozen: "last heard of"}
    with contextlib.ExitStack() as watched:
        for name, why in said.items():
            watched.enter_context(told(evidence, "workers", "Unhealthy", why, name))
        # What the frozen one was about to take is with it, and is sent again.
        load = evidence.load(tasks=4, seconds=0)
        try:
            wait_for("both to be reported", lambda: all_reported(stack, mains, seen), 60, lambda: seen)
            evidence.measure("reported", time.monotonic() - begun, at_most=60)
            wait_for("others in their place", lambda: all(replaced(stack, *one) for one in mains.items()), 120)
            evidence.measure("replaced", time.monotonic() - begun, at_most=120)
        finally:
            if alive(mains[frozen]):
                mains[frozen].resume()
    load.wait_ended()
    stack.start_instance(third)


@pytest.mark.fault(Fault.WORKER_OUT_OF_DISK)
def test_a_worker_without_room_is_told_takes_no_task_and_is_replaced(evidence: Evidence) -> None:
    """Another one starts with an empty file system: that of a container goes with it."""
    stack = evidence.stack
    load = evidence.load(tasks=12, seconds=HELD)
    load.wait_started(12)
    victim = inject.main_process(stack, VICTIM)
    left = inject.fill_disk(stack, VICTIM)
    evidence.struck(left < room.LEAST_BYTES, "a full disk")
    with told(evidence, "workers", "Unhealthy", "out of disk", VICTIM) as watch:
        await_told(watch)
        later = evidence.load(tasks=12, seconds=1)
        assert alive(victim), "it still has tasks"
        stack.release(load.run_id)
        load.wait_ended()
        ended = time.monotonic()
        wait_for("its end", lambda: not alive(victim), 120)
        replaced_at = time.time()
        wait_for("another in its place", lambda: replaced(stack, VICTIM, victim), 120)
        evidence.measure("replaced", time.monotonic() - ended, at_most=120)
        taken = [one for one in on(later, VICTIM) if one["at"] < replaced_at]
        assert taken == [], "it took a task without room"
    for each in (load, later):
        each.wait_ended()
        each.assert_undisturbed()


@pytest.mark.fault(Fault.WORKERS_CUT_OFF)
def test_workers_that_alone_are_cut_off_are_told_and_replaced_once_they_run_nothing(evidence: Evidence) -> None:
    """One has tasks and no way to the broker, which others have; one has no task and no way at all. Who starts again has a network again."""
    stack, idle = evidence.stack, WORKERS[0]
    stack.kit("stop", idle)
    load = evidence.load(tasks=8, seconds=HELD)
    load.wait_started(8)
    stack.start_instance(idle)
    mains = {name: inject.main_process(stack, name) for name in (idle, VICTIM)}
    with cut_off(evidence, VICTIM, inject.TO_BROKER), cut_off(evidence, idle, inject.ALL):
        begun = time.monotonic()
        wait_for("the end of who runs nothing", lambda: not alive(mains[idle]), 120)
        wait_for("another in its place", lambda: replaced(stack, idle, mains[idle]), 120)
        evidence.measure("replaced without tasks", time.monotonic() - begun, at_most=120)
        # The guards began to wait together.
        time.sleep(LOOK_SECONDS * 3)
        assert alive(mains[VICTIM]) and len(load.unfinished()) == load.tasks, "it still has tasks"
        stack.release(load.run_id)
        load.wait_ended()
        ended = time.monotonic()
        wait_for("another in its place", lambda: replaced(stack, VICTIM, mains[VICTIM]), 120)
        evidence.measure("replaced after its last task", time.monotonic() - ended, at_most=120)
    load.assert_undisturbed()
    after = evidence.load(tasks=12, seconds=1)
    after.wait_ended()


@contextlib.contextmanager
def cut_off(evidence: Evidence, worker: str, rules: tuple[str, str]) -> Iterator[None]:
    """A worker whose packets are dropped, and of which health tells."""
    said = told(evidence, "workers", "Unhealthy", "last heard of", worker)
    with inject.packets_dropped(evidence.stack, [worker], rules), said:
        evidence.struck(not inject.reaches(evidence.stack, worker, "valkey", 6379), "a worker that is cut off")
        yield


def all_reported(stack: Stack, names: Collection[str], seen: set[str]) -> bool:
    """Return whether each was reported by now: one may be replaced before the other is."""
    seen.update(one["instance"] for one in stack.instances(*names) if one.get("healthy") is False)
    return seen == set(names)


def replaced(stack: Stack, name: str, old: psutil.Process) -> bool:
    """Return whether another healthy process stands in a worker's place."""
    return not alive(old) and bool(stack.instance(name).get("healthy"))
