"""What waits is read from real tables, weighed, and kept, under the role of the controller."""

import contextlib

import psycopg2
import pytest

from airflow_celery_kit.controller import waiting
from airflow_celery_kit.controller.durations import LAST_RUNS, Durations
from tests.contract.order.parts import TASK, WEIGHTS, fence
from tests.contract.tables import METADATA

ON_WHEELS_ALONE = True


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


def test_so_many_are_written_at_once_and_no_more(ready, kit, monkeypatch):
    monkeypatch.setattr(waiting, "BATCH", 2)
    for number in range(5):
        ready.query(TASK, f"t{number}", "scheduled", None, 2, 10, **METADATA)
    tasks, transactions = {task.id: task for task in waiting.read(kit)}, []
    counted = lambda: transactions.append(1) or fence(kit)()  # noqa: E731
    assert waiting.write(dict.fromkeys(tasks, 7), tasks, counted) == set(tasks)
    assert {weight for _, weight in ready.query(WEIGHTS, **METADATA)} == {7}
    assert len(transactions) == 3


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
        scheduler.rollback()
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


def test_a_task_that_has_succeeded_for_the_first_time_is_known_before_a_minute_is_over(ready, kit):
    ready.query(TASK, "load", "scheduled", None, 64, 0, **METADATA)
    durations = Durations()
    assert [task.expected for task in durations.of(waiting.read(kit), kit, 100.0)] == [None]
    ready.query(
        "INSERT INTO task_instance (dag_id, run_id, task_id, state, duration, end_date)"
        " VALUES ('sales', 'r1', 'load', 'success', 3, now())", **METADATA,
    )  # fmt: skip
    assert [task.expected for task in durations.of(waiting.read(kit), kit, 109.0)] == [None]
    assert [task.expected for task in durations.of(waiting.read(kit), kit, 111.0)] == [3.0]


def test_what_a_run_takes_from_a_task_on_is_the_median_of_runs_that_ended(ready, kit):
    for number, seconds in enumerate((50, 70, 400, None)):
        run = f"r{number}"
        ready.query(
            "INSERT INTO task_instance (dag_id, run_id, task_id, state, duration, start_date, end_date)"
            " VALUES ('sales', %s, 'load', 'success', 9, now(), now())", run, **METADATA,
        )  # fmt: skip
        ready.query(
            "INSERT INTO dag_run (dag_id, run_id, state, end_date) VALUES ('sales', %s, 'success', now() + %s * interval '1 s')",
            run, seconds, **METADATA,
        )  # fmt: skip
    ready.query(TASK, "load", "scheduled", None, 64, 0, **METADATA)
    (task,) = Durations().of(waiting.read(kit), kit, 100.0)
    assert (task.expected, task.remaining) == (9.0, pytest.approx(70.0, abs=5))


def test_the_last_runs_are_the_last_ones(ready, kit):
    for age, duration in enumerate([5] * LAST_RUNS + [900] * 30):
        ready.query(
            "INSERT INTO task_instance (dag_id, run_id, task_id, state, duration, end_date)"
            " VALUES ('sales', %s, 'load', 'success', %s, now() - %s * interval '1 s')",
            f"r{99 - age}" if age % 2 else f"a{age}", duration, age, **METADATA,
        )  # fmt: skip
    ready.query(TASK, "load", "scheduled", None, 64, 0, **METADATA)
    assert [task.expected for task in Durations().of(waiting.read(kit), kit, 100.0)] == [5.0]
