"""Waiting tasks are weighed again on real tables under the controller's role, and their messages move between real lists."""

import contextlib
import json
import threading

import psycopg2
import pytest
import valkey
from celery import Celery

from airflow_celery_kit.controller import moves, pools, waiting
from airflow_celery_kit.controller.broker import Broker
from airflow_celery_kit.controller.database import transaction
from airflow_celery_kit.controller.durations import LAST_RUNS, Durations
from airflow_celery_kit.controller.ordering import Ordering
from airflow_celery_kit.core.priorities import step
from airflow_celery_kit.core.routing_file import parse
from airflow_celery_kit.worker import broker as worker_broker
from tests.contract.tables import METADATA

TASK = """
INSERT INTO task_instance (dag_id, run_id, task_id, map_index, state, external_executor_id, queue, operator, custom_operator_name,
                           priority_weight, scheduled_dttm, queued_dttm)
VALUES ('sales', 'r1', %s, -1, %s, %s, 'default', '_PythonDecoratedOperator', '@task', %s, now() - %s * interval '1 s', now())
"""
WEIGHTS = "SELECT task_id, priority_weight FROM task_instance ORDER BY task_id"


@pytest.fixture
def kit(ready):
    """A connection as the controller's role, to emptied tables with one run of ten minutes."""
    settings = ready.settings
    ready.query(
        "INSERT INTO dag_run (dag_id, run_id, state, start_date) VALUES ('sales', 'r1', 'running', now() - interval '10 min')",
        **METADATA,
    )
    ready.query("INSERT INTO dag VALUES ('sales', false)", **METADATA)
    with contextlib.closing(
        psycopg2.connect(
            host="127.0.0.1", port=settings["POSTGRES_PORT"], user="kit", dbname="airflow", password=settings["KIT_DB_PASSWORD"]
        )
    ) as connection:  # fmt: skip
        yield connection
    for table in ("task_instance", "dag", "dag_run", "dag_tag", "deadline", "slot_pool", "kit.base_weight"):
        ready.query(f"DELETE FROM {table}", **METADATA)


@pytest.fixture
def broker(stack, monkeypatch):
    """The controller's client and an app that publishes as Airflow does; lists are emptied afterwards."""
    settings = stack.settings
    monkeypatch.setenv("KIT_BROKER_PASSWORD_FILE", str(settings.secrets / "valkey_password"))
    app = Celery(broker=f"redis://127.0.0.1:{settings['VALKEY_PORT']}/0", set_as_current=False)
    app.conf.update(broker_transport_options=worker_broker.TRANSPORT_OPTIONS, **worker_broker.credentials())
    client = valkey.Valkey(
        port=settings.number("VALKEY_PORT"), username="kit", password=settings["CONTROLLER_PASSWORD"]
    )
    yield app, Broker(client)
    app.close()
    for key in stack.valkey.scan_iter("default*"):
        stack.valkey.delete(key)


def fence(connection):
    """A transaction that no lease guards."""
    return lambda: transaction(connection)


def publish(app, priority: int, *messages: str) -> None:
    """Send messages of one step, in this order."""
    for message in messages:
        app.send_task("execute_workload", task_id=message, queue="default", priority=priority)


def in_step(found: Broker, step: int) -> list[str]:
    """The ids in one step, the next to be taken first."""
    key = f"default\x06\x16{step}" if step else "default"
    return [json.loads(raw)["headers"]["id"] for raw in reversed(found.client.lrange(key, 0, -1))]


class Here:
    """The connections of one look."""

    def __init__(self, metadata, found) -> None:
        self.metadata, self.broker = metadata, found


def loop(policy: str, rules: str = "", ahead: float | None = None) -> tuple[Ordering, list[tuple]]:
    """The controller's loop, and what it says."""
    said: list[tuple] = []
    return Ordering(parse(rules), policy, 600.0, ahead, lambda event, **facts: said.append((event, facts))), said


def test_what_waits_is_read_with_all_that_a_policy_may_ask(ready, kit):
    ready.query(TASK, "load", "scheduled", None, 64, 30, **METADATA)
    ready.query(TASK, "done", "success", None, 64, 30, **METADATA)
    ready.query("INSERT INTO dag_tag VALUES ('kit:class:gold', 'sales'), ('blue', 'sales')", **METADATA)
    ready.query(
        "INSERT INTO deadline (dagrun_id, deadline_time) SELECT id, now() + interval '1 h' FROM dag_run", **METADATA
    )
    (task,) = waiting.read(kit)
    assert (task.dag_id, task.task_id, task.operator, task.state, task.weight, task.base) == (
        "sales", "load", ("_PythonDecoratedOperator", "@task"), "scheduled", 64, 64,
    )  # fmt: skip
    assert (task.waited, task.run_age, task.deadline) == (
        pytest.approx(30, abs=5),
        pytest.approx(600, abs=5),
        pytest.approx(3600, abs=5),
    )
    assert set(task.tags) == {"kit:class:gold", "blue"}
    assert waiting.are_concerned(kit)


def test_weights_are_written_and_the_first_one_is_kept_through_all_that_follow(ready, kit):
    ready.query(TASK, "load", "scheduled", None, 64, 0, **METADATA)
    for weight in (128, 256):
        (task,) = waiting.read(kit)
        assert waiting.write({task.id: weight}, {task.id: task}, fence(kit)) == {task.id}
    (task,) = waiting.read(kit)
    assert (task.weight, task.base) == (256, 64)
    ready.query("UPDATE task_instance SET priority_weight = 32", **METADATA)
    (task,) = waiting.read(kit)
    assert task.base == 32, "what Airflow has weighed anew is a new beginning"


def test_what_has_started_meanwhile_keeps_its_weight_and_is_forgotten(ready, kit):
    ready.query(TASK, "load", "scheduled", None, 64, 0, **METADATA)
    (task,) = waiting.read(kit)
    waiting.write({task.id: 128}, {task.id: task}, fence(kit))
    ready.query("UPDATE task_instance SET state = 'running'", **METADATA)
    assert waiting.write({task.id: 512}, {task.id: task}, fence(kit)) == set()
    assert ready.query(WEIGHTS, **METADATA) == [("load", 128)]
    waiting.forget(kit)
    assert ready.query("SELECT count(*) FROM kit.base_weight", **METADATA) == [(1,)], "it may wait again"
    ready.query("UPDATE task_instance SET state = 'success'", **METADATA)
    waiting.forget(kit)
    assert ready.query("SELECT count(*) FROM kit.base_weight", **METADATA) == [(0,)]


def test_a_retry_under_another_id_begins_with_the_first_weight(ready, kit):
    ready.query(TASK, "load", "scheduled", None, 64, 0, **METADATA)
    (task,) = waiting.read(kit)
    waiting.write({task.id: 4}, {task.id: task}, fence(kit))
    ready.query("UPDATE task_instance SET id = gen_random_uuid(), state = 'up_for_retry'", **METADATA)
    waiting.forget(kit)
    ready.query("UPDATE task_instance SET state = 'scheduled'", **METADATA)
    (again,) = waiting.read(kit)
    assert (again.id != task.id, again.weight, again.base) == (True, 4, 64)


@pytest.mark.parametrize("statement", ["UPDATE dag SET is_paused = true", "UPDATE dag_run SET state = 'queued'"])
def test_what_the_scheduler_would_not_send_takes_no_place(ready, kit, statement):
    ready.query(TASK, "load", "scheduled", None, 64, 0, **METADATA)
    assert len(waiting.read(kit)) == 1
    ready.query(statement, **METADATA)
    assert waiting.read(kit) == []


def test_a_row_that_the_scheduler_has_in_hand_is_left_to_the_next_look(ready, kit):
    ready.query(TASK, "load", "scheduled", None, 64, 0, **METADATA)
    (task,) = waiting.read(kit)
    with contextlib.closing(
        psycopg2.connect(
            host="127.0.0.1", port=ready.settings["POSTGRES_PORT"], user="airflow", dbname="airflow", password=ready.settings["AIRFLOW_DB_PASSWORD"]
        )
    ) as scheduler, scheduler.cursor() as cursor:  # fmt: skip
        cursor.execute("SELECT 1 FROM task_instance FOR UPDATE")
        assert waiting.write({task.id: 512}, {task.id: task}, fence(kit)) == set()
    assert waiting.write({task.id: 512}, {task.id: task}, fence(kit)) == {task.id}


def test_durations_are_the_median_of_the_last_runs_whatever_they_are_called(ready, kit):
    for age, (name, duration) in enumerate(
        (("manual__1", 1), ("scheduled__9", 3), *((f"scheduled__{n}", 2) for n in range(18)), ("zz", 900))
    ):
        ready.query(
            "INSERT INTO task_instance (dag_id, run_id, task_id, state, duration, end_date)"
            " VALUES ('sales', %s, 'load', 'success', %s, now() - %s * interval '1 s')",
            name, duration, age, **METADATA,
        )  # fmt: skip
    ready.query(TASK, "new", "scheduled", None, 64, 0, **METADATA)
    ready.query(TASK, "load", "scheduled", None, 64, 0, **METADATA)
    durations = Durations()
    assert {task.task_id: task.expected for task in durations.of(waiting.read(kit), kit, 100.0)} == {
        "load": 2.0,
        "new": None,
    }
    ready.query("UPDATE task_instance SET duration = 7 WHERE state = 'success'", **METADATA)
    assert {task.expected for task in durations.of(waiting.read(kit), kit, 130.0)} == {2.0, None}, "kept for a minute"
    assert {task.expected for task in durations.of(waiting.read(kit), kit, 161.0)} == {7.0, None}


def test_the_last_runs_are_the_last_ones(ready, kit):
    for age, duration in enumerate([5] * LAST_RUNS + [900] * 30):
        ready.query(
            "INSERT INTO task_instance (dag_id, run_id, task_id, state, duration, end_date)"
            " VALUES ('sales', %s, 'load', 'success', %s, now() - %s * interval '1 s')",
            f"r{99 - age}" if age % 2 else f"a{age}", duration, age, **METADATA,
        )  # fmt: skip
    ready.query(TASK, "load", "scheduled", None, 64, 0, **METADATA)
    assert [task.expected for task in Durations().of(waiting.read(kit), kit, 100.0)] == [5.0]


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

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    moved = sum(
        moves.arrange(found.client, {"default"}, {name: (step, number % 7) for number, name in enumerate(names)})
        for step in (4, 6, 3, 0, 9)
    )
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(names)
    assert moved > 0


def test_a_look_weighs_rows_and_moves_the_messages_of_those_that_were_sent(ready, kit, broker):
    app, found = broker
    publish(app, 8, "sent")
    publish(app, 0, "callback")
    ready.query(TASK, "old", "scheduled", None, 2, 400, **METADATA)
    ready.query(TASK, "sent", "queued", "sent", 2, 400, **METADATA)
    ready.query(TASK, "young", "scheduled", None, 512, 0, **METADATA)
    ordering, said = loop("aging")
    ordering.look(Here(kit, found), fence(kit), now=100.0)
    weights = dict(ready.query(WEIGHTS, **METADATA))
    assert weights["young"] == 512 < weights["old"] == weights["sent"]
    assert in_step(found, 0) == ["sent", "callback"]
    assert said == [("moved", {"messages": 1})]


def test_one_dag_s_tag_is_enough_and_without_any_nothing_is_touched(ready, kit, broker):
    _, found = broker
    ready.query(TASK, "old", "scheduled", None, 2, 400, **METADATA)
    ordering, _ = loop("finish-first")
    ordering.look(Here(kit, found), fence(kit), now=100.0)
    assert ready.query(WEIGHTS, **METADATA) == [("old", 2)]
    ready.query("INSERT INTO dag_tag VALUES ('kit:policy:aging', 'sales')", **METADATA)
    ordering.look(Here(kit, found), fence(kit), now=102.0)
    assert ready.query(WEIGHTS, **METADATA)[0][1] > 512


def test_weights_go_back_to_the_first_ones_with_the_policy(ready, kit, broker):
    _, found = broker
    ready.query(TASK, "old", "scheduled", None, 2, 400, **METADATA)
    loop("aging")[0].look(Here(kit, found), fence(kit), now=100.0)
    assert ready.query(WEIGHTS, **METADATA)[0][1] > 512
    loop("finish-first")[0].look(Here(kit, found), fence(kit), now=100.0)
    assert ready.query(WEIGHTS, **METADATA) == [("old", 2)]


@pytest.mark.parametrize("name", ["venv.__main__.X", "os.path.join", "missing.Policy"])
def test_a_tag_cannot_make_the_controller_import_what_no_operator_put_there(ready, kit, broker, name, tmp_path):
    _, found = broker
    ready.query(TASK, "load", "scheduled", None, 2, 0, **METADATA)
    ready.query("INSERT INTO dag_tag VALUES (%s, 'sales')", f"kit:policy:{name}", **METADATA)
    ordering, said = loop("finish-first")
    ordering.plugins = tmp_path
    ordering.look(Here(kit, found), fence(kit), now=100.0)
    assert [facts["reason"] for _, facts in said] == [
        f"ImportError: there is no {name.rpartition('.')[0]}.py in the folder of plugins"
    ]


def test_a_policy_may_give_nonsense(ready, kit, broker, tmp_path, monkeypatch):
    _, found = broker
    (tmp_path / "nonsense.py").write_text(
        "from airflow_celery_kit.core.ordering.policy import Policy\n"
        "class Nonsense(Policy):\n    def weigh_all(self, tasks, situation):\n        return {'who': 1, tasks[0].id: 1e300}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    ready.query(TASK, "load", "scheduled", None, 2, 0, **METADATA)
    loop("nonsense.Nonsense")[0].look(Here(kit, found), fence(kit), now=100.0)
    assert ready.query(WEIGHTS, **METADATA) == [("load", 2**31 - 1)]


def test_a_rule_s_deadline_counts_from_the_run_s_start(ready, kit, broker):
    _, found = broker
    ready.query(TASK, "load", "scheduled", None, 2, 0, **METADATA)
    ordering, _ = loop("finish-first", "rules: [{when: {dag: sales}, policy: deadline, deadline: 5m}]")
    ordering.look(Here(kit, found), fence(kit), now=100.0)
    assert ready.query(WEIGHTS, **METADATA)[0][1] > 1024, "five minutes late after ten"


def test_a_policy_that_fails_is_told_once_and_changes_nothing(ready, kit, broker, tmp_path, monkeypatch):
    _, found = broker
    (tmp_path / "broken.py").write_text(
        "from airflow_celery_kit.core.ordering.policy import Policy\n"
        "class Broken(Policy):\n    def weigh(self, task, situation):\n        return 1 / 0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    ready.query(TASK, "load", "scheduled", None, 2, 0, **METADATA)
    ordering, said = loop("broken.Broken")
    for now in (100.0, 102.0):
        ordering.look(Here(kit, found), fence(kit), now)
    assert [event for event, _ in said] == ["policy fails"]
    assert "division by zero" in said[0][1]["reason"]
    assert ready.query(WEIGHTS, **METADATA) == [("load", 2)]


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


def test_the_broker_s_user_may_not_run_what_the_script_may_not(broker):
    _, found = broker
    with pytest.raises(valkey.ResponseError, match=r"(?i)permission|can't run"):
        found.client.eval("return redis.call('FLUSHALL')", 0)
