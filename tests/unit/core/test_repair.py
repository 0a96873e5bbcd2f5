"""What is stuck, from what Airflow, broker and workers believe; every case that must be left alone beside each that must not."""

from dataclasses import replace

import pytest

from airflow_celery_kit.core.repair import CONFIRM_SECONDS, Action, Messages, Suspicions, TaskInstance, diagnose

QUEUED = TaskInstance("1", "sales/r1/load", "queued", "m1", "", 60.0, None)
RUNNING = replace(QUEUED, state="running", hostname="worker-1", silence=60.0)
IDLE = {"worker-1": frozenset(), "worker-2": frozenset()}


@pytest.mark.parametrize(
    ("task", "messages", "held"),
    [
        (QUEUED, Messages(waiting=frozenset({"m1"})), IDLE),
        (QUEUED, Messages(unacked={"m1": "sales/r1/load"}), {"worker-1": frozenset({"m1"})}),
        (QUEUED, Messages(), {"worker-2": frozenset({"m1"})}),
        (replace(QUEUED, age=19.0), Messages(), IDLE),
        (RUNNING, Messages(), {"worker-1": frozenset({"m1"})}),
        (replace(RUNNING, silence=5.0), Messages(), {}),
        (replace(RUNNING, silence=None), Messages(), {}),
        (replace(RUNNING, silence=86_400.0), Messages(), {}),
    ],
    ids=[
        "waits",
        "is starting",
        "is starting elsewhere",
        "was queued just now",
        "runs",
        "runs without report",
        "unknown",
        "freed already",
    ],
)
def test_what_moves_is_left_alone(task, messages, held):
    assert diagnose([task], messages, held) == []


@pytest.mark.parametrize(
    ("task", "messages", "held", "action", "reason"),
    [
        (QUEUED, Messages(), IDLE, Action.REQUEUE, "in no queue and in no worker's hands"),
        (QUEUED, Messages(unacked={"m1": "sales/r1/load"}), IDLE, Action.REDELIVER, "a worker that is gone took its message"),
        (RUNNING, Messages(), {"worker-2": frozenset()}, Action.FREE, "worker-1 is gone and its last heartbeat is 60 s old"),
        (RUNNING, Messages(unacked={"m1": "sales/r1/load"}), IDLE, Action.FREE, "worker-1 does not have it"),
    ],
    ids=["message lost", "reserved by the dead", "worker dead", "pool process dead"],
)  # fmt: skip
def test_what_is_stuck_is_named_with_its_cure(task, messages, held, action, reason):
    (finding,) = diagnose([task], messages, held)
    assert (finding.action, finding.task) == (action, task)
    assert reason in finding.reason


def test_a_message_that_nobody_will_acknowledge_is_closed_once_its_task_has_ended():
    orphan = Messages(unacked={"m1": "sales/r1/load"})
    (finding,) = diagnose([], orphan, IDLE)
    assert (finding.action, finding.task.name, finding.task.message) == (Action.CLOSE, "sales/r1/load", "m1")
    assert diagnose([], orphan, {"worker-1": frozenset({"m1"})}) == [], "its worker is about to acknowledge it"
    assert [one.action for one in diagnose([replace(QUEUED, age=1.0)], orphan, IDLE)] == [], "it is about to start"
    assert diagnose([], Messages(waiting=frozenset({"m1"})), IDLE) == [], "it is taken out and refused"


def test_a_callback_that_a_dead_worker_holds_is_delivered_again_for_nobody_knows_whether_it_ran():
    callback = Messages(unacked={"c1": "ExecuteCallback"})
    (finding,) = diagnose([], callback, IDLE)
    assert (finding.action, finding.task.message) == (Action.REDELIVER, "c1")
    assert diagnose([], callback, {"worker-1": frozenset({"c1"})}) == []


def test_a_result_that_nobody_will_finish_is_closed_for_it_holds_a_slot():
    (finding,) = diagnose([], Messages(), IDLE, frozenset({"m2"}))
    assert (finding.action, finding.task.message) == (Action.CLOSE, "m2")


@pytest.mark.parametrize(
    ("tasks", "messages", "held"),
    [
        ([replace(RUNNING, message="m2", silence=1.0)], Messages(), IDLE),
        ([], Messages(), {"worker-1": frozenset({"m2"})}),
        ([], Messages(waiting=frozenset({"m2"})), IDLE),
    ],
    ids=["its task runs", "a worker has it", "it waits, delivered again"],
)
def test_a_result_that_somebody_may_finish_is_left_alone(tasks, messages, held):
    assert diagnose(tasks, messages, held, frozenset({"m2"})) == []


def test_what_was_acted_on_has_time_to_vanish():
    found = diagnose([QUEUED], Messages(), IDLE)
    suspicions = Suspicions()
    suspicions.confirmed(found, 0.0)
    (finding,) = suspicions.confirmed(found, CONFIRM_SECONDS)
    suspicions.settle(finding)
    assert suspicions.confirmed(found, CONFIRM_SECONDS + 2.0) == []
    assert suspicions.confirmed(found, CONFIRM_SECONDS * 2 + 2.0) == found


def test_nothing_is_repaired_on_one_look_and_a_good_look_clears_the_suspicion():
    found = diagnose([QUEUED], Messages(), IDLE)
    suspicions = Suspicions()
    assert suspicions.confirmed(found, 100.0) == []
    assert suspicions.confirmed(found, 100.0 + CONFIRM_SECONDS) == found
    assert suspicions.confirmed([], 107.0) == []
    assert suspicions.confirmed(found, 108.0) == []


def test_a_controller_that_was_frozen_looks_anew():
    found = diagnose([QUEUED], Messages(), IDLE)
    suspicions = Suspicions()
    suspicions.confirmed(found, 100.0)
    assert suspicions.confirmed(found, 300.0) == []
    assert suspicions.confirmed(found, 300.0 + CONFIRM_SECONDS) == found


def test_a_new_message_of_the_same_task_is_a_new_suspicion():
    suspicions = Suspicions()
    suspicions.confirmed(diagnose([QUEUED], Messages(), IDLE), 0.0)
    assert suspicions.confirmed(diagnose([replace(QUEUED, message="m2")], Messages(), IDLE), CONFIRM_SECONDS) == []


def test_after_an_outage_everything_is_looked_at_anew():
    found = diagnose([QUEUED], Messages(), IDLE)
    suspicions = Suspicions()
    suspicions.confirmed(found, 0.0)
    suspicions.forget()
    assert suspicions.confirmed(found, CONFIRM_SECONDS) == []
