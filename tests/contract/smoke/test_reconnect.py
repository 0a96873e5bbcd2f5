"""Runs in: contract tests; the broker lives on and ends a worker's connections."""

import re

import pytest

from airflow_celery_kit.worker.reconnecting import MOST_SECONDS
from tests.contract.servers import wait_for
from tests.contract.smoke.app import QUEUE

LOST = "consumer: Connection to broker lost"
CONNECTED = "Connected to redis://"
# A frozen connection is noticed in less.
NOTICED_SECONDS = 15.0


def reconnect(bench, worker, rests: bool = False) -> None:
    """Cut the connections that carry messages; return when the worker has noticed and is connected again. One that rests waits for none."""
    wait_for("a worker that waits", lambda: rests or bench.broker.is_waited_at())
    lost, connected = worker.count(LOST), worker.count(CONNECTED)
    bench.cut("normal")
    worker.says(LOST, times=lost + 1)
    worker.says(CONNECTED, times=connected + 1)


def test_a_running_task_is_delivered_again_after_a_reconnect(bench):
    worker = bench.start(slots=3)
    bench.hold("a")
    reconnect(bench, worker)
    worker.says("Restoring 1 unacknowledged message(s)")
    worker.says("received", times=2)
    assert bench.receipts("end", "a") == []
    bench.open("a")
    wait_for("the end of both", lambda: len(bench.receipts("end", "a")) == 2)
    bench.drained()
    assert [len(bench.receipts(what, "a")) for what in ("start", "end")] == [2, 2]


def cancelled(bench, worker, queue: str) -> list[str]:
    """Stop consuming a queue, reconnect, use another; return the queues that the worker then consumes."""
    bench.send("note", "before", queue=queue)
    bench.wait("end", "before")
    (answer,) = bench.sender.control.cancel_consumer(queue, destination=[worker.name], reply=True, timeout=30)
    assert answer == {worker.name: {"ok": f"no longer consuming from {queue}"}}
    reconnect(bench, worker)
    bench.send("note", "ignored", queue=queue)
    for name in ("first", "second"):
        bench.send("note", name)
        bench.wait("end", name)
    (found,) = bench.sender.control.inspect([worker.name], timeout=30).active_queues().values()
    return [queue["name"] for queue in found]


def test_a_cancelled_queue_stays_cancelled_after_a_reconnect(bench):
    worker = bench.start(options={"queues": f"extra,{QUEUE}"}, slots=2)
    assert cancelled(bench, worker, "extra") == [QUEUE]
    assert (bench.broker.waiting("extra"), bench.receipts("end", "ignored")) == (1, [])


COMES_BACK = pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="Celery 5.6.3 looks for a cancelled queue by its alias alone, so one cancelled by its real name is consumed again",
)


def test_a_queue_cancelled_by_its_real_name_stays_cancelled_after_a_reconnect(bench, request):
    queues = {"real": {"alias": "alias", "exchange": "real", "routing_key": "real"}, QUEUE: {}}
    worker = bench.start(options={"queues": f"alias,{QUEUE}"}, slots=2, task_queues=queues)
    consumed = cancelled(bench, worker, "real")
    request.applymarker(COMES_BACK)
    assert consumed == [QUEUE]
    assert (bench.broker.waiting("real"), bench.receipts("end", "ignored")) == (1, [])


def test_a_worker_goes_on_when_its_pubsub_connection_is_cut(bench):
    worker = bench.start()
    bench.send("note", "before")
    bench.wait("end", "before")
    bench.cut("pubsub")
    worker.says(LOST)
    bench.send("note", "after")
    bench.send("note", "later")
    bench.wait("end", "after", "later", within=NOTICED_SECONDS)
    assert bench.sender.control.ping([worker.name], timeout=30) == [{worker.name: {"ok": "pong"}}]


def test_a_worker_waits_five_seconds_at_most_between_two_tries_to_reach_its_broker(bench):
    worker = bench.start()
    connected = worker.count(CONNECTED)
    bench.broker.kill()
    worker.says("Trying again in", times=4)
    bench.broker.start()
    worker.says(CONNECTED, times=connected + 1)
    pauses = [float(found) for found in re.findall(r"Trying again in ([\d.]+) second", worker.log.read_text())]
    assert len(pauses) >= 4 and max(pauses) <= MOST_SECONDS, pauses
    bench.send("note", "after")
    bench.wait("end", "after")
