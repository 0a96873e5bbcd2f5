"""What people see of the journal's records."""

from io import StringIO

import httpx
import pytest
from rich.console import Console

from airflow_celery_kit.cli import record_commands
from airflow_celery_kit.cli.bulk_lines import preview
from airflow_celery_kit.cli.record_commands import run_named, said
from airflow_celery_kit.cli.record_lines import Attempts, Runs, took, worker_table
from airflow_celery_kit.core.journal.hops import hops
from airflow_celery_kit.errors import BadInputError

AT = "2026-01-31T12:00:0{}.000000+00:00"
TASK = {
    "id": "0198c1d2-5f2b-7c3a-9d41-0a1b2c3d4e5f",
    "dag_id": "sales", "run_id": "r1", "task_id": "load", "map_index": 3, "attempt": 2, "status": "FAILURE",
    "queue": "default", "worker": "airflow-worker-1", "error": "ValueError: [red]no[/] rows", "trace": None, "created_at": AT.format(0),
    "due_at": AT.format(1), "queued_at": AT.format(2), "published_at": None, "received_at": AT.format(4), "started_at": AT.format(5),
    "completed_at": AT.format(9),
}  # fmt: skip


def shown(what, width=240) -> str:
    """The text on a screen as `OUT` is one, wide unless told."""
    screen = Console(file=StringIO(), width=width, highlight=False, soft_wrap=True)
    screen.print(what)
    return screen.file.getvalue()


def test_a_list_has_a_line_for_each_attempt():
    line = shown(Attempts([TASK])).splitlines()[1]
    assert line.removesuffix("no[/] rows").split() == [
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
        "ValueError:",
        "[red]",
    ]


@pytest.mark.parametrize(("index", "name"), [(0, "load[0]"), (11, "load[11]"), (-1, "load"), (None, "load")])
def test_the_first_of_mapped_tasks_has_its_index_as_the_others_have(index, name):
    one = TASK | {"map_index": index}
    assert f"sales/r1/{name} " in shown(Attempts([one]))
    assert f"FAILURE {name} " in " ".join(shown(Attempts([one], of_one_run=True)).split())


def test_a_list_without_errors_has_no_column_for_them_and_a_narrow_one_neither():
    assert "error" in shown(Attempts([TASK])).splitlines()[0]
    assert "error" not in shown(Attempts([TASK | {"error": None}])).splitlines()[0]
    assert "error" not in shown(Attempts([TASK]), width=80).splitlines()[0]


def test_who_waits_for_its_turn_is_at_no_worker_though_the_try_before_was():
    waits = TASK | {"status": "PENDING", "received_at": None, "started_at": None, "completed_at": None, "error": None}
    assert "airflow-worker-1" in shown(Attempts([TASK])) and "airflow-worker-1" not in shown(Attempts([waits]))


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
    assert "anna" not in shown(worker_table([here | {"state": "working"}]))


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


RUN = {
    "dag_id": "sales", "run_id": "manual__2026-11-28T06:29:24.414328+00:00", "state": "running", "paused": False, "progress": "3/5",
    "counts": {"SUCCESS": 3, "QUEUED": 2}, "user_name": None, "asked_by": "REST_API",
    "created_at": AT.format(0), "started_at": AT.format(1), "completed_at": None,
}  # fmt: skip


def test_a_run_has_its_progress_and_who_asked():
    line = shown(Runs([RUN])).splitlines()[1]
    assert "3/5" in line and "QUEUED 2, SUCCESS 3" in line and "REST_API" in line


@pytest.mark.parametrize("width", [80, 240])
def test_a_run_s_name_is_whole_on_any_screen_and_as_commands_take_it(width):
    assert f"sales {RUN['run_id']}" in shown(Runs([RUN | {"dag_id": "sales"}]), width)
    long = RUN | {"dag_id": "a_dag_with_a_name_that_fills_the_screen_by_itself"}
    (line,) = [line for line in shown(Runs([long]), 80).splitlines() if RUN["run_id"] in line]
    assert line.split() == [long["dag_id"], RUN["run_id"]]


def test_what_goes_on_says_how_long_so_far_and_what_has_ended_how_long():
    assert took(RUN).endswith(" so far") and took(RUN | {"completed_at": AT.format(5)}) == "4 s"
    assert took(RUN | {"started_at": None}) == ""


def test_a_run_is_paused_until_it_ends():
    assert "paused" in shown(Runs([RUN | {"paused": True}]), 80)
    ended = RUN | {"paused": True, "state": "success", "completed_at": AT.format(5)}
    assert "paused" not in shown(Runs([ended]), 80)


def test_a_preview_names_each_mapped_task_once_below_its_run():
    names = [f"sales/r/1/sleepy[{number}]" for number in (4, 0)] + ["stock/r2/load"]
    lines = list(preview({"count": 5, "some": names}, "cancelled"))
    assert lines == [
        "5 would be cancelled:", "sales/r/1", "  sleepy[4]", "  sleepy[0]", "stock/r2", "  load", "and 2 more", "To do it add --count 5",
    ]  # fmt: skip
    assert list(preview({"count": 0, "some": []}, "retried")) == ["0 would be retried"]


def test_the_latest_run_is_the_newest_on_record(monkeypatch):
    asked = []
    answer = {"workflows": [{"run_id": "r7"}]}
    monkeypatch.setattr(record_commands, "asked", lambda *one: asked.append(one) or answer)
    assert (run_named("sales", "r1"), asked) == ("r1", [])
    assert run_named("sales", "latest") == "r7"
    assert asked == [("/workflows", {"dag_id": "sales", "limit": 1})]
    answer["workflows"] = []
    with pytest.raises(BadInputError, match="no run of sales is on record"):
        run_named("sales", "latest")


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
