"""What waits, from what is due in Airflow, from lengths and messages in the broker, and from workers' reports."""

import json

import pytest

from airflow_celery_kit.controller.queues import NOTHING_DUE, age, queue_facts, slots_of, step_facts
from airflow_celery_kit.controller.waiting import Due
from airflow_celery_kit.worker.broker import SENT_AT

NOW = 1000.0


def message(sent: object) -> bytes:
    """A message as the transport keeps it, sent at a time."""
    return json.dumps({"body": "", "headers": {"id": "m1", SENT_AT: sent}}).encode()


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        (message(990), 10.0),
        (message(999.98765), 0.012),
        (message(1003), 0.0),
        (message(None), None),
        (message("soon"), None),
        (b'{"headers": {}}', None),
        (b'{"headers": null}', None),
        (b"{}", None),
        (b"[]", None),
        (b"no JSON \xff", None),
        (b"", None),
    ],
)
def test_an_age_is_known_only_of_a_message_that_says_when_it_was_sent(raw, seconds):
    assert age(raw, NOW) == seconds


def test_the_oldest_message_of_a_step_may_stand_anywhere_in_it():
    assert step_facts(3, 4, [message(990), b"{}", message(940), message(995)], NOW) == {
        "step": 3, "waiting": 4, "oldest_seconds": 60.0
    }  # fmt: skip


def test_a_queue_shows_what_is_due_in_airflow_its_filled_steps_and_the_longest_wait_of_them():
    steps = [
        {"step": 0, "waiting": 1, "oldest_seconds": 5.0},
        {"step": 1, "waiting": 2, "oldest_seconds": None},
        {"step": 9, "waiting": 7, "oldest_seconds": 60.0},
    ]
    assert queue_facts("default", steps, 4, Due(30, 70.5)) == {
        "queue": "default", "scheduled": 30, "scheduled_oldest_seconds": 70.5,
        "waiting": 10, "oldest_seconds": 60.0, "slots": 4, "steps": steps,
    }  # fmt: skip


def test_an_empty_queue_is_shown_with_nothing():
    assert queue_facts("heavy", [], 0, NOTHING_DUE) == {
        "queue": "heavy", "scheduled": 0, "scheduled_oldest_seconds": None,
        "waiting": 0, "oldest_seconds": None, "slots": 0, "steps": [],
    }  # fmt: skip


ONE = {"held": [], "queues": ["default"], "slots": 4}
BOTH = {"held": [], "queues": ["default", "heavy"], "slots": 2}


@pytest.mark.parametrize(
    ("workers", "default", "heavy"),
    [
        ([], 0, 0),
        ([ONE], 4, 0),
        ([ONE, BOTH], 6, 2),
        ([ONE, {"held": []}], None, None),
        ([{"held": [], "queues": ["default"]}], None, None),
    ],
)
def test_slots_are_those_of_live_workers_and_unknown_while_one_does_not_say(workers, default, heavy):
    assert (slots_of("default", workers), slots_of("heavy", workers)) == (default, heavy)
