"""Which orders the controller forgets, by what stands in a real database and what workers report to a real broker."""

import contextlib

import psycopg2
import pytest

from airflow_celery_kit.controller import database, draining
from airflow_celery_kit.controller.broker import Broker
from airflow_celery_kit.worker.broker import ORDERS_KEY, REPORT_KEY
from airflow_celery_kit.worker.reports import report
from tests.contract.tables import METADATA

ON_WHEELS_ALONE = True
ORDER = (
    "INSERT INTO kit.worker_order (worker, wanted, who, at) VALUES (%s, %s, 'anna', now() - make_interval(hours => %s))"
)
DAY, YEAR = 24, 365 * 24


@pytest.fixture
def forget(ready, controllers_client):
    """What the controller does once an hour, as its own roles."""
    with contextlib.closing(psycopg2.connect(ready.address("kit", "airflow"))) as metadata:
        yield lambda: draining.forget(Broker(controllers_client), lambda: database.transaction(metadata))
    ready.query("DELETE FROM kit.worker_order", **METADATA)
    for key in (*ready.valkey.keys(f"{REPORT_KEY}*"), ORDERS_KEY):
        ready.valkey.delete(key)


def reports(ready, name, drained):
    """Have a worker say whether it rests; an older one does not say."""
    more = {} if drained is None else {"drained": drained}
    ready.valkey.set(f"{REPORT_KEY}{name}", report([], 0, ["default"], 4, **more))


@pytest.mark.parametrize(
    ("wanted", "hours", "said", "stays"),
    [
        ("work", DAY + 1, {"drained": False}, False),
        ("work", DAY - 1, {"drained": False}, True),
        ("work", YEAR, {"drained": True}, True),
        ("work", YEAR, {"drained": None}, True),
        ("work", 91 * DAY, None, False),
        ("work", 89 * DAY, None, True),
        ("drain", YEAR, {"drained": False}, True),
        ("drain", YEAR, {"drained": True}, True),
        ("drain", 10 * YEAR, None, True),
    ],
)
def test_orders_go_that_nobody_needs_any_more(ready, forget, wanted, hours, said, stays):
    ready.query(ORDER, "airflow-worker-1", wanted, hours, **METADATA)
    reports(ready, "airflow-worker-2", False)
    if said:
        reports(ready, "airflow-worker-1", **said)
    assert forget() == ([] if stays else ["airflow-worker-1"])
    assert ready.query("SELECT count(*) FROM kit.worker_order", **METADATA) == [(int(stays),)]


def test_a_broker_that_came_back_empty_undoes_no_order(ready, forget, controllers_client):
    """Nobody has reported yet; what was asked for lately is carried there again."""
    for name, wanted in (("airflow-worker-1", "drain"), ("airflow-worker-2", "work")):
        ready.query(ORDER, name, wanted, 2 * DAY, **METADATA)
    assert forget() == []
    orders = dict(ready.query("SELECT worker, wanted FROM kit.worker_order", **METADATA))
    assert draining.tell(Broker(controllers_client), orders)
    assert orders == {"airflow-worker-1": "drain", "airflow-worker-2": "work"}
