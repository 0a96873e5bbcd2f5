"""What waits in the broker, from lengths, oldest messages and workers' reports."""

import json

import pytest

from airflow_celery_kit.controller.queues import age, queue_facts, slots_of
from airflow_celery_kit.worker.broker import PRIORITY_STEPS, SENT_AT

NOW = 1000.0


def message(sent: object) -> bytes:
    """A message as the transport keeps it, sent at a time."""
    return json.dumps({"body": "", "headers": {"id": "m1", SENT_AT: sent}}).encode()


def rows(**filled: tuple[int, bytes | None]) -> list[tuple[int, bytes | None]]:
    """Length and oldest message of each step; `step3=(2, ...)` fills one."""
    return [filled.get(f"step{step}", (0, None)) for step in PRIORITY_STEPS]


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
        (None, None),
    ],
)
def test_an_age_is_known_only_of_a_message_that_says_when_it_was_sent(raw, seconds):
    assert age(raw, NOW) == seconds


def test_a_queue_shows_its_filled_steps_and_the_longest_wait_of_them():
    found = queue_facts("default", rows(step0=(1, message(995)), step9=(7, message(940))), 4, NOW)
    assert found == {
        "queue": "default",
        "waiting": 8,
        "oldest_seconds": 60.0,
        "slots": 4,
        "steps": [
            {"step": 0, "waiting": 1, "oldest_seconds": 5.0},
            {"step": 9, "waiting": 7, "oldest_seconds": 60.0},
        ],
    }


def test_an_empty_queue_is_shown_with_nothing():
    assert queue_facts("heavy", rows(), 0, NOW) == {
        "queue": "heavy", "waiting": 0, "oldest_seconds": None, "slots": 0, "steps": []
    }  # fmt: skip


def test_a_step_whose_oldest_message_has_no_time_hides_no_other_one():
    found = queue_facts("default", rows(step1=(2, b"{}"), step2=(1, message(970))), 1, NOW)
    assert [one["oldest_seconds"] for one in found["steps"]] == [None, 30.0]
    assert (found["waiting"], found["oldest_seconds"]) == (3, 30.0)


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
