"""Runs in: contract tests; a worker that is told to take no task, through everything that happens to it until it is told otherwise."""

import json

import valkey

from airflow_celery_kit.controller import draining
from airflow_celery_kit.controller.broker import Broker
from airflow_celery_kit.worker.broker import DRAIN, ORDERS_KEY, REPORT_KEY, WORK
from tests.contract.servers import wait_for
from tests.contract.smoke.test_reconnect import reconnect

# Longer than a worker may leave alone what waits before it counts as deaf.
QUIET_SECONDS = 12.0


def tell(bench, **orders: str) -> bool:
    """Give orders with the controller's own login."""
    settings = bench.broker.settings
    login = {"username": "kit", "password": settings["CONTROLLER_PASSWORD"]}
    client = valkey.Valkey(port=settings.number("VALKEY_PORT"), socket_timeout=5, **login)
    return draining.tell(Broker(client), {f"smoke@{name}": word for name, word in orders.items()})


def report(bench, worker) -> dict:
    """What a worker says of itself; nothing while it does not."""
    return json.loads(bench.broker.client.get(f"{REPORT_KEY}{worker.name}") or "{}")


def is_drained(bench, worker, held: int) -> None:
    """Return once a worker takes nothing and still holds so many."""
    said = lambda: (report(bench, worker).get("drained"), len(report(bench, worker).get("held", ())))  # noqa: E731
    wait_for(f"{worker.name} to be drained", lambda: said() == (True, held))


def test_a_worker_that_is_to_take_nothing_finishes_what_it_runs_and_stays_so_through_everything(bench, tmp_path):
    beat = tmp_path / "beat"
    worker = bench.start(slots=2, environment={"KIT_BEAT_FILE": str(beat)})
    bench.hold("a")
    assert tell(bench, w1=DRAIN) and not tell(bench, w1=DRAIN)
    is_drained(bench, worker, held=1)
    bench.send("note", "later")
    bench.open("a")
    is_drained(bench, worker, held=0)
    assert len(bench.receipts("end", "a")) == 1

    reconnect(bench, worker, rests=True)
    is_drained(bench, worker, held=0)
    bench.broker.client.delete(ORDERS_KEY)
    beats = lambda: beat.stat().st_mtime  # noqa: E731
    before = beats()
    wait_for("beats beside what waits", lambda: beats() - before > QUIET_SECONDS)
    assert (bench.broker.messages(), bench.receipts("end", "later")) == ((1, 0), [])

    tell(bench, w1=DRAIN, w2=DRAIN)
    other = bench.start()
    is_drained(bench, other, held=0)
    assert (bench.broker.messages(), bench.receipts("end", "later")) == ((1, 0), [])

    tell(bench, w1=WORK, w2=DRAIN)
    bench.wait("end", "later")
    wait_for("the worker's word", lambda: report(bench, worker)["drained"] is False)
    bench.drained()
    assert len(bench.receipts("end", "later")) == 1 and report(bench, other)["drained"]


def test_nothing_is_lost_or_done_twice_while_orders_change_beside_a_stream_of_tasks(bench):
    worker = bench.start(slots=2)
    names = [f"n{number}" for number in range(60)]
    for number, name in enumerate(names):
        bench.send("note", name)
        if number % 20 == 10:
            tell(bench, w1=DRAIN)
            wait_for("the order to be heeded", lambda: report(bench, worker).get("drained"))
        if number % 20 == 19:
            tell(bench, w1=WORK)
    bench.wait("end", *names)
    bench.drained()
    assert {len(bench.receipts("end", name)) for name in names} == {1}
