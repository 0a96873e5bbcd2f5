"""Runs in: contract tests; canaries through real workers, a worker without room on its disk, one that leaves as it was told."""

import json
import time

import pytest
import valkey

from airflow_celery_kit.controller import moves, queues
from airflow_celery_kit.controller.broker import Broker, identity
from airflow_celery_kit.core.health import State
from airflow_celery_kit.health import canary
from airflow_celery_kit.health.canary import Canary
from airflow_celery_kit.health.workers import Workers
from airflow_celery_kit.worker.broker import CANARY, DRAIN, LEFT_KEY, ORDERS_KEY, REPORT_KEY
from airflow_celery_kit.worker.reports import EVERY_SECONDS
from tests.contract.servers import wait_for


@pytest.fixture
def controllers_broker(bench) -> Broker:
    """The broker with the controller's own login."""
    settings = bench.broker.settings
    login = {"username": "kit", "password": settings["CONTROLLER_PASSWORD"]}
    return Broker(valkey.Valkey(port=settings.number("VALKEY_PORT"), socket_timeout=5, **login))


def report(bench, worker) -> dict:
    """What a worker says of itself; nothing while it does not."""
    return json.loads(bench.broker.client.get(f"{REPORT_KEY}{worker.name}") or "{}")


def look_until(check, broker, right, seconds: float = 30):
    """Look until a finding is right; give it."""
    seen = []

    def look() -> bool:
        seen[:] = check.look(broker)
        return any(map(right, seen))

    wait_for("a finding that is right", look, seconds)
    return next(filter(right, seen))


def test_a_canary_comes_through_a_real_worker_and_leaves_nothing(bench, controllers_broker):
    worker = bench.start()
    check = Canary()
    one = look_until(check, controllers_broker, lambda one: one.why.startswith("through"))
    assert (one.subject, one.state) == ("default", State.HEALTHY)
    assert bench.broker.is_empty() and report(bench, worker)["held"] == []
    assert worker.count(f"Task {CANARY}") >= 1 and worker.count("Traceback") == 0
    flight = check.flights["default"]
    assert check.seconds == {"default": flight.took} and flight.took < 5


def test_a_canary_overtakes_what_waits_waits_for_a_slot_and_is_no_task(bench, controllers_broker):
    bench.start()
    bench.hold("a")
    bench.send("note", "later")
    check = Canary()
    look_until(check, controllers_broker, lambda one: "all slots busy" in one.why)
    (seen,) = queues.look(controllers_broker, time.time(), {})["queues"]
    assert seen["waiting"] == 1 and bench.broker.waiting() == 2
    bench.open("a")
    look_until(check, controllers_broker, lambda one: one.why.startswith("through"))
    bench.wait("end", "later")
    bench.drained()


def test_a_queue_that_nobody_takes_from_though_slots_are_free_is_unhealthy(bench, controllers_broker, monkeypatch):
    monkeypatch.setattr(canary, "LATE_SECONDS", 3.0)
    worker, check = bench.start(), Canary()
    look_until(check, controllers_broker, lambda one: one.why.startswith("through"))
    check.flights["default"].sent -= 60
    bench.sender.control.cancel_consumer("default", destination=[worker.name])
    wait_for("a worker without a queue", lambda: report(bench, worker).get("consuming") == [])
    seen = {one.subject: one for one in Workers().look(controllers_broker)}
    assert (seen[worker.name].state, seen[worker.name].why) == (State.UNHEALTHY, "does not listen to default")


def test_a_worker_that_lost_one_of_its_queues_beats_no_more_though_it_takes_from_the_other(bench, tmp_path):
    beat = tmp_path / "beat"
    worker = bench.start(options={"queues": "default,other"}, environment={"KIT_BEAT_FILE": str(beat)})
    wait_for("a beat", beat.exists)
    bench.sender.control.cancel_consumer("other", destination=[worker.name])
    wait_for("a worker without a queue", lambda: report(bench, worker).get("consuming") == ["default"])
    beat.unlink()
    bench.send("note", "later")
    bench.wait("end", "later")
    last = report(bench, worker)["at"]
    wait_for("two more reports", lambda: report(bench, worker)["at"] > last + 2 * EVERY_SECONDS - 1)
    assert not beat.exists()
    bench.broker.client.hset(ORDERS_KEY, worker.name, DRAIN)
    wait_for("a beat of one that takes nothing as it was told", beat.exists)


def test_canaries_that_vanish_are_told_after_the_second(bench, controllers_broker, monkeypatch):
    monkeypatch.setattr(canary, "LATE_SECONDS", 0.5)
    monkeypatch.setattr(canary, "send", lambda *_: "nobody has it")
    bench.start()
    one = look_until(Canary(), controllers_broker, lambda one: one.state == State.UNHEALTHY)
    assert one.why == "2 in a row never came back"


def test_a_canary_of_a_worker_that_left_does_not_stay(bench, controllers_broker):
    worker, check = bench.start(), Canary()
    bench.hold("a")
    look_until(check, controllers_broker, lambda one: "all slots busy" in one.why)
    worker.process.kill()
    wait_for("the end of its report", lambda: not report(bench, worker))
    assert list(check.look(controllers_broker)) == [] and bench.broker.waiting() == 0


def test_a_worker_that_leaves_as_told_says_so_and_one_that_is_killed_does_not(bench):
    told, killed = bench.start_two()
    for worker in (told, killed):
        wait_for("its report", lambda worker=worker: report(bench, worker))
    told.send(15)
    killed.process.kill()
    assert told.exits() == 0
    client = bench.broker.client
    assert [client.exists(f"{LEFT_KEY}{worker.name}") for worker in (told, killed)] == [1, 0]
    again = bench.begin(options={"hostname": told.name})
    again.says(f"{told.name} ready.")
    wait_for("a word that is taken back", lambda: not client.exists(f"{LEFT_KEY}{told.name}"))


def test_a_connection_that_is_lost_is_no_leaving(bench):
    worker = bench.start()
    wait_for("a worker that waits", bench.broker.is_waited_at)
    bench.cut("normal")
    worker.says("Connection to broker lost")
    wait_for("its report", lambda: report(bench, worker))
    assert not bench.broker.client.exists(f"{LEFT_KEY}{worker.name}")


def test_a_worker_without_room_takes_nothing_does_not_beat_and_says_why(bench, controllers_broker, tmp_path):
    beat = tmp_path / "beat"
    worker = bench.start(environment={"KIT_BEAT_FILE": str(beat), "KIT_LEAST_DISK_BYTES": str(1 << 60)})
    wait_for("its word", lambda: report(bench, worker).get("short", "").startswith("out of disk: "))
    bench.send("note", "later")
    time.sleep(3)
    assert not beat.exists() and bench.receipts("end", "later") == [] and bench.broker.messages() == (1, 0)
    seen = {one.subject: one for one in Workers().look(controllers_broker)}
    assert seen[worker.name].state == State.UNHEALTHY and "left for temporary files" in seen[worker.name].why
    assert worker.count("takes no task, out of disk") == 1
    other = bench.start()
    bench.wait("end", "later")
    assert report(bench, other)["short"] == ""


def test_a_canary_stays_in_front_when_messages_are_put_in_order(bench, controllers_broker):
    id = canary.send(controllers_broker, "default")
    sent = [bench.send("note", name, priority=0) for name in ("a", "b")]
    moves.arrange(controllers_broker.client, {"default"}, {sent[1]: (0, (1,)), sent[0]: (0, (2,))})
    ids = [identity(raw)[0] for raw in reversed(controllers_broker.client.lrange("default", 0, -1))]
    assert ids == [id, sent[1], sent[0]]
