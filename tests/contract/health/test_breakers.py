"""Runs in: contract tests; a breaker that goes by a health check: a real service gets worse, the loop of a controller opens it in PostgreSQL."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2
import pytest

from airflow_celery_kit.core.guards.file import parse
from airflow_celery_kit.core.health import State
from airflow_celery_kit.health.endpoint import Endpoint
from airflow_celery_kit.health.looking import Looker
from airflow_celery_kit.health.main import Health, Loop
from tests.contract.tables import METADATA

ON_WHEELS_ALONE = True
RULES = "breakers: {crm: {failures: 0, health: {check: shop, unhealthy: 2, degraded: 10, within: 10s}}}"
FINE, BUSY, BROKEN = 200, 503, 500
APPLY = "SELECT kit.guards_apply(%s)"


class Shop:
    """A service that answers as it is told, and counts."""

    def __init__(self) -> None:
        self.status, self.asked = FINE, 0


@pytest.fixture
def shop() -> Iterator[Shop]:
    """A service that works."""
    made = Shop()

    class Handler(BaseHTTPRequestHandler):
        def do_OPTIONS(self) -> None:
            made.asked += 1
            self.send_response(made.status)
            self.send_header("Allow", "GET")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def loop(controller, measured, shop) -> Iterator[Loop]:
    """A controller's loop that leads and has looked at the service once; a breaker goes by that check, at its usual pace."""
    check = Endpoint("shop", f"http://127.0.0.1:{shop.port}/")
    check.plain = True
    made = Loop(Health([Looker(check, controller)], lambda *_, **__: None))
    measured.query(APPLY, json.dumps(parse(RULES).rows()), **METADATA)
    turn(made, 5, lambda: shop.asked == 1 and made.health.breakers.last and made.health.breakers.counted)
    yield made
    made.connections.drop()
    measured.query(APPLY, "[]", **METADATA)
    measured.query("TRUNCATE kit.breaker, kit.guard_event, kit.guard_trip", **METADATA)


def turn(loop: Loop, seconds: float, until: Callable[[], object] = lambda: False) -> float:
    """Turn as the controller does until something is so, or so long; give the seconds that it took."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds and not until():
        loop.turn(time.monotonic(), time.time())
        time.sleep(loop.pause())
    return time.monotonic() - begun


def breaker(measured) -> tuple[str, str]:
    """State and reason of the breaker."""
    rows = measured.query("SELECT state, reason FROM kit.breaker", **METADATA)
    return rows[0] if rows else ("closed", "")


@pytest.mark.parametrize(("status", "looks", "said"), [(BROKEN, 2, "2 Unhealthy"), (BUSY, 10, "10 Degraded")])
def test_so_many_looks_open_it_within_ten_seconds_of_the_first(loop, shop, measured, status, looks, said):
    loop.health.lookers[0].due = 0.0
    shop.status, shop.asked = status, 0
    took = turn(loop, 20, lambda: breaker(measured)[0] == "open")
    assert breaker(measured) == ("open", f"health check shop: {said} in 10 s")
    assert shop.asked == looks and took < 10


def test_one_that_passes_opens_nothing_and_is_not_looked_at_in_a_hurry_for_long(loop, shop, measured):
    loop.health.lookers[0].due = 0.0
    shop.status = BROKEN
    turn(loop, 5, lambda: loop.health.breakers.last["shop"] == State.UNHEALTHY)
    shop.status, shop.asked = FINE, 0
    turn(loop, 5)
    assert breaker(measured)[0] == "closed" and 1 <= shop.asked <= 2 and not loop.health.breakers.hurry


def test_an_open_one_counts_nothing_and_costs_no_more_looks(loop, shop, measured):
    measured.query("SELECT kit.breaker_trip('breaker crm', '', 'anna', 'it moves', 600)", **METADATA)
    loop.health.lookers[0].due = 0.0
    shop.status, shop.asked = BUSY, 0
    turn(loop, 6)
    assert breaker(measured) == ("open", "it moves") and shop.asked <= 3 and not loop.health.breakers.hurry


def test_one_that_is_reset_opens_again_while_the_service_stays_ill(loop, shop, measured):
    shop.status = BROKEN
    loop.health.lookers[0].due = 0.0
    turn(loop, 10, lambda: breaker(measured)[0] == "open")
    turn(loop, 2)
    measured.query("SELECT kit.breaker_reset('breaker crm', '', 'anna', 'it should work')", **METADATA)
    loop.health.lookers[0].due = 0.0
    assert turn(loop, 10, lambda: breaker(measured)[0] == "open") < 10 and breaker(measured)[1].startswith(
        "health check"
    )


def test_whose_lease_is_gone_tells_nothing(loop, shop, measured):
    measured.query("UPDATE kit.lease SET token = token + 1, holder = 'another' WHERE name = 'health'", **METADATA)
    loop.health.breakers.news = [("shop", State.UNHEALTHY)] * 2
    loop.asked = time.monotonic()
    loop.health.breakers.tell(loop.connections.metadata, loop._lease().fenced)
    assert loop.health.breakers.news == [] and breaker(measured)[0] == "closed"


def test_what_is_seen_while_the_breaker_is_in_other_hands_is_counted_when_it_is_free(loop, shop, measured):
    """For longer than the controller waits for a lock."""
    settings, other = measured.settings, {"user": "airflow", "dbname": "airflow", "host": "127.0.0.1"}
    measured.query(
        "INSERT INTO kit.breaker (guard, token) VALUES ('breaker crm', '') ON CONFLICT DO NOTHING", **METADATA
    )
    loop.health.lookers[0].due = 0.0
    shop.status, shop.asked = BROKEN, 0
    address = {"port": settings["POSTGRES_PORT"], "password": settings["AIRFLOW_DB_PASSWORD"], **other}
    with contextlib.closing(psycopg2.connect(**address)) as scheduler, scheduler.cursor() as cursor:
        cursor.execute("SELECT FROM kit.breaker FOR UPDATE")
        with pytest.raises(psycopg2.errors.LockNotAvailable):
            turn(loop, 10)
        seen = shop.asked
        loop.health.lookers[0].due = float("inf")
        scheduler.commit()
    shop.status = FINE
    assert seen == 1 and [one[:2] for one in loop.health.breakers.news] == [("shop", State.UNHEALTHY)]
    loop.connections.drop()
    loop.turn(time.monotonic(), time.time())
    counted = "SELECT extract(epoch FROM clock_timestamp()) - (verdicts -> 'unhealthy' ->> 0)::float8 FROM kit.breaker"
    ((age,),) = measured.query(counted, **METADATA)
    assert 2.5 < age < 10, "as old as the look was"
    assert loop.health.breakers.news == []
