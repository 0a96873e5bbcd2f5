"""Runs in: contract tests; the broker is killed and comes back."""

import time

from tests.contract.servers import wait_for
from tests.contract.smoke.test_reconnect import CONNECTED
from tests.contract.smoke.test_shutdown import PATIENCE

SLOTS = 3
REFUSED = "Trying again in 2.00 seconds... (1/"


def restart(bench, worker) -> None:
    """Kill the broker and start it; return when the worker has noticed and is connected again.

    It starts only when the worker has closed its channel: one that closes it beside a broker that is back returns its messages.
    """
    refused, connected = worker.count(REFUSED), worker.count(CONNECTED)
    bench.broker.kill()
    worker.says(REFUSED, times=refused + 1)
    bench.broker.start()
    worker.says(CONNECTED, times=connected + 1)


def works(bench, *names: str) -> None:
    """New tasks are run, once, and acknowledged."""
    for name in names:
        bench.send("note", name)
    bench.wait("end", *names)
    bench.drained()
    assert [len(bench.receipts("end", name)) for name in names] == [1] * len(names)


def test_a_worker_does_not_hang_when_its_broker_dies(bench):
    worker = bench.start()
    works(bench, "before")
    restart(bench, worker)
    works(bench, "after")


def test_a_worker_consumes_after_an_outage_that_outlasted_its_first_tries(bench):
    worker = bench.start(slots=2)
    works(bench, "before")
    bench.broker.kill()
    worker.says("Trying again in 4.00 seconds... (2/")
    bench.broker.start()
    worker.says(CONNECTED, times=2)
    works(bench, *(f"after-{number}" for number in range(10)))


def test_messages_that_wait_outlive_their_broker(bench):
    sent = [bench.send("note", f"n{number}") for number in range(3)]
    bench.broker.kill()
    bench.broker.start()
    assert bench.broker.messages() == (len(sent), 0)
    bench.start()
    bench.wait("end", "n0", "n1", "n2")
    bench.drained()


def test_a_task_that_runs_while_the_broker_restarts_finishes_once(bench):
    worker = bench.start()
    bench.hold("a")
    restart(bench, worker)
    bench.open("a")
    works(bench, "after")
    assert [len(bench.receipts(what, "a")) for what in ("start", "end")] == [1, 1]


def test_cancelled_tasks_leave_their_slots_to_others(bench):
    worker = bench.start(slots=SLOTS, worker_cancel_long_running_tasks_on_connection_loss=True)
    names = [f"long-{number}" for number in range(SLOTS)]
    bench.hold(*names)
    restart(bench, worker)
    worker.says("Terminating", times=SLOTS)
    bench.send("note", "after")
    bench.wait("end", "after")
    assert bench.receipts("end", names[0]) == []


def test_a_full_worker_leaves_messages_to_others_after_a_restart(bench):
    worker = bench.start(slots=SLOTS)
    names = [f"long-{number}" for number in range(SLOTS)]
    bench.hold(*names)
    restart(bench, worker)
    bench.send("note", "after")
    bench.start()
    bench.wait("end", "after")
    assert worker.count("received") == SLOTS
    bench.open(*names)
    works(bench, "last")
    assert [len(bench.receipts("start", name)) for name in names] == [1] * SLOTS


def test_as_many_messages_are_taken_after_each_restart_as_slots_are_free(bench):
    worker = bench.start(slots=SLOTS)
    running = [f"first-{number}" for number in range(SLOTS)]
    bench.hold(*running)
    for round_ in range(SLOTS):
        restart(bench, worker)
        waiting = [f"{round_}-{number}" for number in range(SLOTS)]
        for name in waiting:
            bench.send("hold", name)
        bench.open(*running[:round_])
        bench.wait("start", *waiting[:round_])
        time.sleep(1)
        assert bench.broker.messages() == (SLOTS - round_, SLOTS)
        bench.open(*running, *waiting)
        bench.wait("end", *running, *waiting)
        bench.drained()
        bench.hold(*(running := [f"again-{round_}-{number}" for number in range(SLOTS)]))


def test_celery_counts_all_slots_after_a_restart(bench):
    worker = bench.start(slots=SLOTS)
    bench.hold("long")
    restart(bench, worker)
    found = {}
    # What is asked before the worker has subscribed again is lost.
    ask = lambda: found.update(bench.sender.control.inspect([worker.name], timeout=2).stats() or {}) or found  # noqa: E731
    wait_for("an answer", ask)
    assert found[worker.name]["prefetch_count"] == SLOTS


def test_a_free_slot_takes_the_next_task_while_others_still_run(bench):
    worker = bench.start(slots=SLOTS)
    bench.hold(*(f"long-{number}" for number in range(SLOTS - 1)))
    restart(bench, worker)
    # Which process gets a task is drawn by lot: this often, nobody is lucky.
    for number in range(20):
        bench.send("note", f"note-{number}")
        bench.wait("end", f"note-{number}", within=PATIENCE)
