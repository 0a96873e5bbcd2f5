"""Celery's results and the broker's keys, on real servers: what a message, a task or a worker still needs stays."""

import json
import uuid

from airflow_celery_kit.controller.orphan_keys import CONTROL
from airflow_celery_kit.core.housekeeping import LIVE
from airflow_celery_kit.worker.broker import SEPARATOR
from tests.contract.housekeeping.conftest import House
from tests.contract.housekeeping.test_tables import a_dag, a_run

REPLIES = "_kombu.binding.reply.celery.pidbox"


def a_result(house: House, message: str, days: float, status: str = "SUCCESS") -> str:
    """A result that was written so many days ago."""
    house.query(
        "INSERT INTO celery_taskmeta (id, task_id, status, date_done) VALUES (nextval('task_id_sequence'), %s, %s, "
        "now() AT TIME ZONE 'utc' - %s * interval '1 day')",
        message, status, days, database="celery",
    )  # fmt: skip
    house.filled.add(("celery", "celery_taskmeta"))
    return message


def results(house: House) -> set[str]:
    """The messages that have a result."""
    return {message for (message,) in house.query("SELECT task_id FROM celery_taskmeta", database="celery")}


def a_message(message: str) -> str:
    """A message as far as the controller reads it."""
    return json.dumps({"headers": {"id": message, "argsrepr": "sales/r/t"}})


def test_old_results_go_and_those_that_somebody_may_ask_for_stay(house: House):
    a_dag(house, "sales")
    kept = set()
    for state in LIVE:
        run = a_run(house, "sales", "running", tasks=(state,))
        kept.add(a_result(house, f"task {state}", 9, "STARTED"))
        house.query("UPDATE task_instance SET external_executor_id = %s WHERE run_id = %s", f"task {state}", run)
    client = house.stack.valkey
    client.sadd("_kombu.binding.default", SEPARATOR.join(("default", "", "default")))
    for key in ("default", f"default{SEPARATOR}3"):
        client.lpush(key, a_message(key))
        kept.add(a_result(house, key, 9, "STARTED"))
    # Not acknowledged, though its task has ended.
    client.hset("unacked", "tag", json.dumps([json.loads(a_message("taken")), "", "default"]))
    client.zadd("unacked_index", {"tag": 1})
    kept |= {a_result(house, "taken", 9), a_result(house, "young", 0.9)}
    gone = [
        a_result(house, f"old {number}", 2 + number / 1e4, status)
        for number, status in enumerate(("SUCCESS", "FAILURE", "REVOKED", "STARTED") * 600)
    ]
    found = house.clean("controller")
    assert (found["celery_taskmeta"]["rows"], found["celery_taskmeta"]["removed"]) == (len(gone), len(gone))
    assert results(house) == kept
    (facts,) = house.query("SELECT facts FROM kit.seen WHERE what = 'housekeeping'")[0]
    assert facts["controller"]["totals"]["celery_taskmeta"]["rows"] == len(gone)


def test_the_controllers_role_removes_no_result_that_is_young_whatever_it_asks_for(house: House):
    kept, _ = a_result(house, "young", 0.02), a_result(house, "old", 0.1)
    ask = "SELECT kit_forget_results((SELECT array_agg(id) FROM celery_taskmeta), interval '0')"
    assert house.stack.query(ask, role="kit", database="celery") == [(1,)]
    assert results(house) == {kept}


def test_keys_go_once_their_owner_has_been_gone_for_an_hour(house: House):
    client = house.stack.valkey
    member = lambda queue: SEPARATOR.join(("", "", queue))  # noqa: E731
    client.set("kit:worker:here-1", json.dumps({"held": []}), ex=60)
    client.set("kit:worker:for ever", json.dumps({"held": []}))
    client.sadd(CONTROL, member("celery@here-1.celery.pidbox"), member("celery@gone-1.celery.pidbox"))
    client.rpush("a.reply.celery.pidbox", "x")
    client.sadd(REPLIES, member("a.reply.celery.pidbox"), member("b.reply.celery.pidbox"))
    client.hset("unacked", "tag", json.dumps([json.loads(a_message("taken")), "", "default"]))
    client.zadd("unacked_index", {"tag": 1, "nothing": 1})
    before = house.snapshot()
    assert house.clean("controller")["broker keys"]["rows"] == 0
    assert [key for key, value in house.snapshot().items() if value != before.get(key)] == ["airflow kit.seen"]
    house.query("""
        UPDATE kit.seen SET facts = jsonb_set(facts, '{suspects}', (
            SELECT jsonb_object_agg(key, value::float8 - 3600) FROM jsonb_each_text(facts -> 'suspects')))""")
    found = house.clean("controller")["broker keys"]
    assert found["removed"] == 4
    assert found["why"] == {"control queues": 1, "reply bindings": 1, "deliveries of nothing": 1, "reports": 1}
    assert set(client.smembers(CONTROL)) == {member("celery@here-1.celery.pidbox")}
    assert set(client.smembers(REPLIES)) == {member("a.reply.celery.pidbox")}
    assert client.zrange("unacked_index", 0, -1) == ["tag"] and client.hlen("unacked") == 1
    assert client.exists("kit:worker:here-1") and not client.exists("kit:worker:for ever")


def test_who_comes_back_meanwhile_begins_anew(house: House):
    client = house.stack.valkey
    member = SEPARATOR.join(("", "", "celery@gone-1.celery.pidbox"))
    client.sadd(CONTROL, member)
    house.clean("controller")
    client.set("kit:worker:gone-1", json.dumps({"held": []}), ex=60)
    house.clean("controller")
    (facts,) = house.query("SELECT facts FROM kit.seen WHERE what = 'housekeeping'")[0]
    assert facts["suspects"] == {} and client.sismember(CONTROL, member)


def test_a_wrong_line_is_named_with_its_cure_by_each_part_and_nothing_is_removed(house: House):
    house.limits.write_text("runs: 90d\nresults: 1 day\n")
    a_result(house, str(uuid.uuid4()), 9)
    for part in ("controller", "triggerer"):
        said = house.clean(part, fails=True).strip()
        assert said.endswith("housekeeping.yaml, line 2: results: '1 day' is no age: write 30m, 12h, 90d or never")
        assert len(said.splitlines()) == 1
    assert len(results(house)) == 1
