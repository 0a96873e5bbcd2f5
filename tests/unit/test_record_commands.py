"""What people see of the journal's records."""

from io import StringIO

import httpx
import pytest
from rich.console import Console

from airflow_celery_kit.cli import record_commands
from airflow_celery_kit.cli.record_commands import said
from airflow_celery_kit.cli.record_lines import Attempts, story, worker_table, workflow_table
from airflow_celery_kit.core.journal.hops import hops

AT = "2026-01-31T12:00:0{}.000000+00:00"
TASK = {
    "id": "0198c1d2-5f2b-7c3a-9d41-0a1b2c3d4e5f",
    "dag_id": "sales", "run_id": "r1", "task_id": "load", "map_index": 3, "attempt": 2, "status": "FAILURE",
    "queue": "default", "worker": "airflow-worker-1", "error": "ValueError: [red]no[/] rows", "trace": None, "created_at": AT.format(0),
    "due_at": AT.format(1), "queued_at": AT.format(2), "published_at": None, "received_at": AT.format(4), "started_at": AT.format(5),
    "completed_at": AT.format(9),
}  # fmt: skip


def shown(what, width=240) -> str:
    """The text on a screen, a wide one unless told."""
    screen = Console(file=StringIO(), width=width)
    screen.print(what)
    return screen.file.getvalue()


def test_a_list_has_a_line_for_each_attempt():
    line = shown(Attempts([TASK])).splitlines()[1]
    assert line.split() == [
        "FAILURE",
        "sales/r1/load[3]",
        "2",
        "default",
        "airflow-worker-1",
        "2026-01-31",
        "12:00:00",
        "4",
        "s",
        TASK["id"],
    ]


def test_on_a_narrow_screen_a_list_leaves_out_what_the_story_tells():
    long = TASK | {"run_id": "manual__2026-11-28T06:29:24.414328+00:00"}
    title, *lines = shown(Attempts([long]), width=80).splitlines()
    assert title.split() == ["status", "task", "try", "id"] and len(lines) <= 3
    assert lines[0].startswith("FAILURE") and TASK["id"] in lines[0]


def test_a_worker_says_what_it_does_and_who_asked_for_it():
    here = {
        "name": "airflow-worker-1",
        "state": "drained",
        "queues": ["default"],
        "slots": 4,
        "held": 0,
        "host": "here",
        "asked_by": "anna",
    }
    gone = {"name": "airflow-worker-2", "state": "away", "asked_by": "anna"} | dict.fromkeys(
        ("queues", "slots", "held", "host")
    )
    _, first, second = shown(worker_table([here, gone])).splitlines()
    assert first.split() == ["drained", "airflow-worker-1", "default", "0/4", "here", "anna"]
    assert second.split() == ["away", "airflow-worker-2", "anna"]


def test_a_story_has_hops_events_and_the_error_as_it_is():
    event = {"at": AT.format(0), "source": "airflow", "kind": "asked", "facts": {"queue": "default", "trace": "long"}}
    text = shown(story(TASK | {"hops": hops(TASK), "events": [event]}))
    assert "waiting in the broker" in text and "2.000 s" in text and "queue default" in text and "long" not in text
    assert "ValueError: [red]no[/] rows" in text


def test_a_time_that_is_not_known_is_passed_over_and_none_is_less_than_nothing():
    found = hops(TASK | {"started_at": AT.format(3)})
    assert [(hop["until"], hop["seconds"]) for hop in found] == [
        ("due_at", 1.0), ("queued_at", 1.0), ("received_at", 2.0), ("started_at", 0.0), ("completed_at", 6.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("known", "hop"),
    [
        (("due_at", "queued_at", "published_at"), "waiting in the broker"), (("due_at", "queued_at"), "on its way to the broker"),
        (("due_at", "queued_at", "published_at", "received_at"), "starting"), ((), "until it was due"),
    ],
)  # fmt: skip
def test_what_was_cancelled_before_it_started_did_not_run(known, hop):
    never = dict.fromkeys(("due_at", "queued_at", "published_at", "received_at", "started_at"))
    found = hops(TASK | never | {name: TASK["created_at"] for name in known} | {"completed_at": AT.format(9)})
    assert (found[-1]["hop"], found[-1]["until"]) == (hop, "completed_at")


def test_a_run_has_its_progress_and_who_asked():
    run = {
        "dag_id": "sales", "run_id": "r1", "state": "running", "paused": False, "progress": "3/5",
        "counts": {"SUCCESS": 3, "QUEUED": 2}, "user_name": None, "asked_by": "REST_API",
        "created_at": AT.format(0), "started_at": AT.format(1), "completed_at": None,
    }  # fmt: skip
    line = shown(workflow_table([run])).splitlines()[1]
    assert "3/5" in line and "QUEUED 2, SUCCESS 3" in line and "REST_API" in line


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({"json": {"detail": "no task 7 is on record"}}, "no task 7 is on record"), ({"text": "<html>"}, "the api-server answers 502"),
        ({"json": []}, "the api-server answers 502"),
    ],
)  # fmt: skip
def test_a_refusal_is_one_sentence(answer, sentence):
    assert said(httpx.Response(502, **answer)) == sentence


def test_what_was_not_asked_for_is_not_sent(monkeypatch):
    sent = {}

    class Api:
        """Stands in for the api-server's client, which a stack test uses."""

        def __init__(self, settings):
            pass

        def kit(self, path, **parameters):
            """Note what was sent."""
            sent[path] = parameters
            return {}

    monkeypatch.setattr(record_commands, "Airflow", Api)
    monkeypatch.setattr(record_commands.Settings, "load", lambda: None)
    record_commands.asked("/tasks", {"status": (), "dag_id": None, "limit": 20, "queue": "heavy"})
    assert sent == {"/tasks": {"limit": 20, "queue": "heavy"}}
