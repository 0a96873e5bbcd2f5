"""Messages move between the real lists of a broker, in order, and none is lost or doubled."""

import itertools
import json
import threading
import time

import pytest
import valkey

from airflow_celery_kit.controller import moves
from airflow_celery_kit.core.priorities import NO_TASK, step
from tests.contract.order.parts import in_step, publish


def turns(**weights: int) -> dict[str, tuple]:
    """The turns of messages by their weights."""
    return {name: (step(weight), -weight) for name, weight in weights.items()}


def test_messages_move_to_their_steps_and_stand_there_by_weight(broker):
    app, found = broker
    publish(app, 3, "a", "b", "c")
    publish(app, 1, "x", "y")
    assert moves.arrange(found.client, {"default"}, turns(a=64, b=300, c=70, x=256, y=100, gone=5)) > 0
    assert (in_step(found, 1), in_step(found, 3)) == (["b", "x"], ["y", "c", "a"])
    (raw,) = [raw for raw in found.client.lrange("default\x06\x161", 0, -1) if b'"b"' in raw]
    assert json.loads(raw)["properties"]["priority"] == 1, "kombu puts it back into this step when its worker dies"


def test_where_all_is_well_nothing_is_touched_and_what_has_no_turn_stays(broker):
    app, found = broker
    publish(app, 1, "a", "stranger", "b")
    assert moves.arrange(found.client, {"default"}, turns(a=300, b=257)) == 0
    assert in_step(found, 1) == ["a", "stranger", "b"]
    assert moves.arrange(found.client, {"default"}, turns(a=257, b=300)) == 2
    assert in_step(found, 1) == ["b", "a", "stranger"]


def test_callbacks_stay_before_what_becomes_overdue(broker):
    app, found = broker
    publish(app, 5, "a")
    for message in ("first", "second"):
        app.send_task("execute_workload", task_id=message, queue="default", priority=0, argsrepr=NO_TASK)
    moves.arrange(found.client, {"default"}, {"a": (0, (-(2**30), 0))})
    assert in_step(found, 0) == ["first", "second", "a"]
    publish(app, 5, "b")
    moves.arrange(found.client, {"default"}, {"a": (0, (-(2**30), 0)), "b": (0, (-(2**31), 0))})
    assert in_step(found, 0) == ["first", "second", "b", "a"]


def test_of_what_becomes_overdue_the_oldest_is_first_however_many_looks_it_takes(broker):
    app, found = broker
    publish(app, 5, "a", "b", "c")
    known: dict[str, int] = {}
    for age, name in enumerate("abc"):
        known[name] = 2**30
        moves.arrange(
            found.client, {"default"}, {one: (0, (-weight, "abc".index(one))) for one, weight in known.items()}
        )
        assert in_step(found, 0) == list("abc")[: age + 1]


def test_a_moved_message_is_still_one_that_a_worker_understands(broker):
    app, found = broker
    publish(app, 7, "a")
    moves.arrange(found.client, {"default"}, turns(a=128))
    with app.connection_for_read() as connection, connection.SimpleQueue("default") as queue:
        message = queue.get(timeout=5)
        assert (message.headers["id"], message.properties["priority"]) == ("a", 2)
        message.ack()


def test_no_message_is_lost_or_doubled_while_workers_take_and_the_controller_moves(broker, stack):
    app, found = broker
    names = [f"m{number}" for number in range(200)]
    publish(app, 5, *names)
    taken: list[str] = []

    def take() -> None:
        client, keys = stack.valkey, ["default", *(f"default\x06\x16{step}" for step in range(1, 10))]
        while answer := client.brpop(keys, timeout=1):
            taken.append(json.loads(answer[1])["headers"]["id"])
            time.sleep(0.01)

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    moved, steps = 0, itertools.cycle((4, 6, 3, 0, 9))
    while len(taken) < len(names) and any(thread.is_alive() for thread in threads):
        to = next(steps)
        moved += moves.arrange(found.client, {"default"}, {name: (to, number % 7) for number, name in enumerate(names)})
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(names)
    assert moved > 0


def test_the_broker_s_user_may_not_run_what_the_script_may_not(broker):
    _, found = broker
    with pytest.raises(valkey.ResponseError, match=r"(?i)permission|can't run"):
        found.client.eval("return redis.call('FLUSHALL')", 0)
