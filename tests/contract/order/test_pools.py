"""The pools of the queues, and the rights of the role that holds them."""

import psycopg2
import pytest

from airflow_celery_kit.controller import pools
from airflow_celery_kit.controller.ordering import LEFT_SECONDS
from airflow_celery_kit.core.routing_file import parse
from airflow_celery_kit.runtimes import prepare
from tests.contract.order.parts import Here, fence, loop
from tests.contract.tables import METADATA

ON_WHEELS_ALONE = True


def test_a_pool_that_was_deleted_is_made_again(ready, kit):
    assert pools.resize({"default": 4}, 1.0, fence(kit)) == {"queue_default": 8}
    assert pools.resize({"default": 4}, 1.0, fence(kit)) == {}
    assert ready.query("SELECT pool, slots, include_deferred FROM slot_pool", **METADATA) == [
        ("queue_default", 8, False)
    ]


def test_a_pool_follows_the_slots_of_its_queue_and_one_without_workers_stays(ready, kit):
    for pool in ("queue_default", "queue_heavy"):
        ready.query("INSERT INTO slot_pool (pool, slots, include_deferred) VALUES (%s, 32, false)", pool, **METADATA)
    reports = [{"queues": ["default"], "slots": 4}, {"queues": ["default", "other"], "slots": 4}, {}]
    slots = pools.slots_of(reports)
    assert slots == {"default": 8, "other": 4}
    assert pools.resize({"default": 8}, 1.0, fence(kit)) == {"queue_default": 16}
    assert pools.resize({"default": 8}, 1.0, fence(kit)) == {}
    assert ready.query("SELECT pool, slots FROM slot_pool ORDER BY 1", **METADATA) == [
        ("queue_default", 16),
        ("queue_heavy", 32),
    ]


def test_a_queue_that_nobody_serves_for_long_has_room_for_one_task(ready, kit, broker):
    ready.query("INSERT INTO slot_pool (pool, slots, include_deferred) VALUES ('queue_heavy', 32, false)", **METADATA)
    ordering, said = loop("finish-first", "queues: [heavy]", ahead=1.0)
    slots = lambda: ready.query("SELECT slots FROM slot_pool", **METADATA)  # noqa: E731
    for now in (100.0, 100.0 + LEFT_SECONDS - 1):
        ordering.look(Here(kit, broker[1]), fence(kit), now)
        assert slots() == [(32,)], "workers start, or are replaced"
    ordering.look(Here(kit, broker[1]), fence(kit), 100.0 + LEFT_SECONDS)
    assert slots() == [(1,)]
    assert said == [("pools", {"queue_heavy": 1})]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE slot_pool SET pool = 'x'",
        "DELETE FROM slot_pool",
        "DELETE FROM dag_run",
        "UPDATE dag_tag SET name = 'x'",
    ],
)
def test_the_role_may_do_no_more_than_that(kit, statement):
    with pytest.raises(psycopg2.errors.InsufficientPrivilege), kit, kit.cursor() as cursor:
        cursor.execute(statement)


def test_at_each_start_they_have_room_for_all_that_may_run_until_a_controller_looks(ready, kit, monkeypatch):
    settings = ready.settings
    address = f"postgresql://airflow:{settings['AIRFLOW_DB_PASSWORD']}@127.0.0.1:{settings['POSTGRES_PORT']}/airflow"
    monkeypatch.setattr(prepare, "uri", lambda *_: address)
    monkeypatch.setenv("AIRFLOW__CORE__PARALLELISM", "32")
    ready.query("INSERT INTO slot_pool (pool, slots, include_deferred) VALUES ('queue_heavy', 8, false)", **METADATA)
    prepare.make_pools(parse("queues: [default, heavy]"))
    assert ready.query("SELECT pool, slots FROM slot_pool ORDER BY pool", **METADATA) == [
        ("queue_default", 32),
        ("queue_heavy", 32),
    ]
