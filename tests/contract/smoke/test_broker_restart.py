"""Runs in: contract tests; the broker is killed and comes back."""

import pytest

from tests.contract.servers import wait_for
from tests.contract.smoke.test_reconnect import CONNECTED, LOST
from tests.contract.smoke.test_shutdown import PATIENCE

SLOTS = 3


def restart(bench, worker) -> None:
    """Kill the broker and start it; return when the worker has noticed and is connected again."""
    lost, connected = worker.count(LOST), worker.count(CONNECTED)
    bench.broker.kill()
    worker.says(LOST, times=lost + 1)
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
    worker.says("Trying again in 4.00 seconds... (2/100)")
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


@pytest.mark.parametrize("reduces", [True, False])
def test_no_more_tasks_run_than_there_are_slots(bench, reduces):
    worker = bench.start(slots=SLOTS, worker_enable_prefetch_count_reduction=reduces)
    names = [f"long-{number}" for number in range(SLOTS)]
    bench.hold(*names)
    restart(bench, worker)
    bench.send("note", "after")
    worker.says("received", times=SLOTS + 1)
    assert bench.receipts("end", "after") == []
    bench.open(*names)
    bench.wait("end", *names, "after")
    bench.drained()
    assert [len(bench.receipts("start", name)) for name in names] == [1] * SLOTS


def test_the_prefetch_count_goes_down_by_each_running_task_and_up_again(bench):
    worker = bench.start(slots=SLOTS)
    names = [f"long-{number}" for number in range(SLOTS)]
    bench.hold(*names)
    while names:
        restart(bench, worker)
        worker.says(
            f"Temporarily reducing the prefetch count to {max(1, SLOTS - len(names))} to avoid over-fetching "
            f"since {len(names)} tasks are currently being processed."
        )
        bench.open(names.pop())
        wait_for("its acknowledgement", lambda: bench.broker.unacknowledged() == len(names))
    worker.says(f"The prefetch count will be gradually restored to {SLOTS} as the tasks complete processing.", SLOTS)
    works(bench, *(f"note-{number}" for number in range(2 * SLOTS)))
    worker.says(f"Prefetch count has been restored to the maximum of {SLOTS}")
    (found,) = bench.sender.control.inspect([worker.name], timeout=30).stats().values()
    assert found["prefetch_count"] == SLOTS


FORGETS = pytest.mark.xfail(
    strict=True,
    raises=pytest.fail.Exception,
    reason="Celery 5.6.3 forgets at a reconnect which pool processes are busy and may hand a task to one of them, "
    "where it waits for the running one to end though another process is free (celery#10346)",
)


def test_a_free_slot_takes_the_next_task_while_others_still_run(bench, request):
    worker = bench.start(slots=SLOTS)
    bench.hold(*(f"long-{number}" for number in range(SLOTS - 1)))
    restart(bench, worker)
    request.applymarker(FORGETS)
    # Which process gets a task is drawn by lot: this often, nobody is lucky.
    for number in range(20):
        bench.send("note", f"note-{number}")
        bench.wait("end", f"note-{number}", within=PATIENCE)
