"""Runs in: contract tests; a worker that ends, by whatever means, is replaced by itself or by another."""

import psutil
import pytest

from tests.contract.smoke.harness import COLD, WARM

# How a worker ends, and whether it lets its task finish, gives its message back, or does neither.
FINISHES, GIVES_BACK, LOSES = "finishes", "gives back", "loses"
ENDINGS = {
    "SIGTERM": (lambda bench, worker: worker.send(WARM), FINISHES),
    "remote-control": (lambda bench, worker: bench.sender.control.shutdown(destination=[worker.name]), FINISHES),
    "SIGQUIT": (lambda bench, worker: worker.send(COLD), GIVES_BACK),
    "SIGKILL": (lambda bench, worker: worker.process.kill(), LOSES),
}
EVERY_ENDING = pytest.mark.parametrize(("end", "effect"), ENDINGS.values(), ids=ENDINGS)


@EVERY_ENDING
def test_a_task_survives_the_restart_of_its_worker(bench, end, effect):
    worker = bench.start()
    bench.hold("a")
    end(bench, worker)
    if effect == FINISHES:
        worker.says("shutdown")
        bench.open("a")
    worker.exits()
    assert bench.broker.messages() == {FINISHES: (0, 0), GIVES_BACK: (1, 0), LOSES: (0, 1)}[effect]
    bench.open("a")
    again(bench, 0 if effect == FINISHES else 1)


def again(bench, starts: int) -> None:
    """A new worker runs a task that was cut off once more, and one that is new; no task finishes twice."""
    if bench.broker.unacknowledged():
        bench.broker.age_deliveries()
    bench.start()
    bench.send("note", "new")
    bench.wait("end", "a", "new")
    bench.drained()
    assert [len(bench.receipts("end", name)) for name in ("a", "new")] == [1, 1]
    assert len(bench.receipts("start", "a")) == 1 + starts


@EVERY_ENDING
def test_the_next_task_survives_a_restart_between_two(bench, end, effect):
    worker = bench.start()
    bench.send("note", "first")
    bench.wait("end", "first")
    bench.drained()
    end(bench, worker)
    worker.exits()
    bench.send("note", "second")
    assert bench.broker.messages() == (1, 0)
    bench.start()
    bench.wait("end", "second")
    bench.drained()
    assert [len(bench.receipts("end", name)) for name in ("first", "second")] == [1, 1]


def test_a_task_survives_the_restart_of_the_pool(bench):
    worker = bench.start(worker_pool_restarts=True)
    bench.hold("a")
    before = worker.children
    bench.sender.control.pool_restart(destination=[worker.name])
    bench.open("a")
    bench.wait("end", "a")
    bench.send("note", "next")
    bench.wait("end", "next")
    assert worker.children.isdisjoint(before)
    bench.drained()


def test_the_next_task_survives_a_restart_of_the_pool_between_two(bench):
    worker = bench.start(worker_pool_restarts=True)
    bench.send("note", "first")
    bench.wait("end", "first")
    before = worker.children
    (answer,) = bench.sender.control.pool_restart(destination=[worker.name], reply=True, timeout=30)
    assert answer == {worker.name: {"ok": "reload started"}}
    bench.send("note", "second")
    bench.wait("end", "second")
    assert worker.children.isdisjoint(before)
    bench.drained()


def test_another_worker_takes_over_what_a_killed_one_ran(bench):
    first = bench.start()
    bench.hold("a")
    second = bench.start()
    (child,) = bench.receipts("start", "a")
    first.process.kill()
    first.exits()
    assert bench.broker.messages() == (0, 1)
    bench.broker.age_deliveries()
    bench.open("a")
    bench.wait("end", "a")
    assert not psutil.pid_exists(child)
    assert set(bench.receipts("end", "a")) <= second.children
    bench.drained()


def test_a_worker_started_again_works_for_all_that_were_killed(bench):
    for worker in bench.start_two():
        worker.process.kill()
        worker.exits()
    bench.send("note", "a")
    assert bench.broker.messages() == (1, 0)
    bench.start()
    bench.wait("end", "a")
    bench.drained()
