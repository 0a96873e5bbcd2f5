"""Runs in: contract tests; remote control, signals, publishing, gossip."""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from celery import signals
from kombu.exceptions import OperationalError

from tests.contract.servers import wait_for
from tests.contract.smoke.app import WORKER_SIGNALS, make_app


def test_every_worker_answers_a_ping(bench):
    names = {worker.name for worker in bench.start_two()}
    answers = bench.sender.control.ping(timeout=10, limit=2)
    assert {name: said for answer in answers for name, said in answer.items()} == {
        name: {"ok": "pong"} for name in names
    }


def test_a_shutdown_by_remote_control_ends_with_zero_and_only_there(bench):
    told, other = bench.start_two()
    bench.sender.control.shutdown(destination=[told.name])
    assert told.exits() == 0
    assert other.process.poll() is None
    bench.send("note", "after")
    bench.wait("end", "after")


def test_a_worker_sends_each_signal_of_its_life(bench):
    worker = bench.start()
    worker.send(signal.SIGTERM)
    assert worker.exits() == 0
    assert {name: len(bench.receipts("signal", name)) for name in WORKER_SIGNALS} == dict.fromkeys(WORKER_SIGNALS, 1)


@pytest.mark.parametrize("name", ["before_task_publish", "after_task_publish"])
def test_publishing_sends_its_signals(bench, name):
    heard = []
    said = getattr(signals, name)
    said.connect(listener := lambda sender, **_: heard.append((sender, bench.broker.waiting())))
    try:
        bench.send("note", "heard")
    finally:
        said.disconnect(listener)
    assert heard == [("note", 0 if name.startswith("before") else 1)]


@pytest.mark.parametrize("threads", [1, 2, 42])
def test_threads_publish_at_the_same_time(bench, threads):
    with ThreadPoolExecutor(threads) as pool:
        sent = list(pool.map(lambda number: bench.send("note", f"n{number}"), range(threads)))
    assert len(set(sent)) == bench.broker.waiting() == threads
    bench.start(slots=2)
    bench.wait("end", *(f"n{number}" for number in range(threads)))
    bench.drained()


@pytest.mark.xfail(
    strict=True,
    raises=OperationalError,
    reason="Celery 5.6.3 looks up the default queue for every message, also for one that names its queue, and fails where it is not declared",
)
def test_a_queue_is_used_that_is_declared_where_others_are_not_made(bench):
    only = {"task_create_missing_queues": False, "task_queues": {"only": {}}}
    bench.start(options={"queues": "only"}, **only)
    sender = make_app(bench.broker.url, **only)
    sender.send_task("note", args=["declared"], queue="only")
    bench.wait("end", "declared")
    with pytest.raises(KeyError, match="other"):
        sender.send_task("note", args=["missing"], queue="other")
    sender.close()


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="Celery 5.6.3 shifts the time of an event by the sender's UTC offset, so workers of two time zones report drift (celery#10418)",
)
def test_workers_of_two_time_zones_hear_no_drift(bench):
    heard = {"without_gossip": False, "loglevel": "DEBUG"}
    first = bench.begin(options=heard, environment={"TZ": "Asia/Ho_Chi_Minh"})
    second = bench.begin(options=heard, environment={"TZ": "America/New_York"})
    wait_for(
        "one hearing the other",
        lambda: first.count(f"{second.name} joined the party") or second.count(f"{first.name} joined the party"),
    )
    assert first.count("Substantial drift") + second.count("Substantial drift") == 0
