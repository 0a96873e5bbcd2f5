"""What `kit status` says about queues, and that it never fails because of them."""

import io
from dataclasses import replace

import httpx
import pytest
from rich.console import Console

from airflow_celery_kit import clients, status
from airflow_celery_kit.cli.display import status_report
from airflow_celery_kit.cli.queue_lines import span
from airflow_celery_kit.clients import Airflow, Queues, Worker
from airflow_celery_kit.errors import NotRunningError
from airflow_celery_kit.runtimes.base import Instance
from airflow_celery_kit.status import Status

API = Instance("airflow-apiserver", "airflow-apiserver-1", "running", True, 1, None, "airflow-apiserver-1")
EMPTY = {
    "queue": "heavy",
    "scheduled": 0,
    "scheduled_oldest_seconds": None,
    "waiting": 0,
    "oldest_seconds": None,
    "slots": 0,
    "steps": [],
}
STEPS = [{"step": 0, "waiting": 1, "oldest_seconds": 4.2}, {"step": 9, "waiting": 7, "oldest_seconds": None}]
DUE = {"scheduled": 30, "scheduled_oldest_seconds": 71.0}
FILLED = {"queue": "default", **DUE, "waiting": 8, "oldest_seconds": 4.2, "slots": None, "steps": STEPS}


def seen() -> Status:
    """A status of a stack whose api-server is up."""
    return Status("embedded", (), (), (API,), {"airflow": "", "flower": ""})


def lines(queues: Queues) -> list[str]:
    """The lines that people see, with single spaces."""
    out = Console(file=io.StringIO(), width=200)
    out.print(status_report(replace(seen(), queues=queues)))
    return [" ".join(line.split()) for line in out.file.getvalue().splitlines()]


@pytest.fixture
def answering(monkeypatch):
    """Lets the api-server answer, or fail, in the way that a test wants."""

    def to(answer):
        def kit(self, path):
            assert (path, self.seconds) == ("/queues", clients.QUEUES_SECONDS)
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(Airflow, "kit", kit)

    return to


def test_a_line_for_each_queue_with_its_steps_when_something_waits():
    shown = lines(Queues((FILLED, EMPTY)))
    assert "queue in Airflow oldest in the broker oldest slots by priority step" in shown
    assert "default 30 71 s 8 4 s ? step 0: 1 (4 s), step 9: 7 (?)" in shown
    assert "heavy 0 0 0" in shown


def test_a_queue_with_tasks_and_no_slot_says_where_to_look():
    shown = lines(
        Queues((EMPTY | {"waiting": 2, "oldest_seconds": 9.0}, EMPTY | {"queue": "b", **DUE}, FILLED | {"slots": 0}))
    )
    assert len([line for line in shown if "nobody takes its tasks: 'kit workers list'" in line]) == 3
    shown = lines(Queues((EMPTY, FILLED, FILLED | {"slots": 4})))
    assert [line for line in shown if "nobody takes" in line] == []


def test_a_worker_that_rests_says_so_and_how_it_ends(settings, answering):
    two = (Worker("airflow-worker-1", ("default",), 4), Worker("airflow-worker-2", ("default",), 4))
    live = [{"name": "airflow-worker-1", "drained": True}, {"name": "airflow-worker-2", "drained": False}]
    answering({"stale": False, "reason": "", "queues": [EMPTY], "workers": live})
    found = status.with_queues(settings, replace(seen(), workers=two))
    assert [one["resting"] for one in found.as_dict()["workers"]] == [True, False]
    out = Console(file=io.StringIO(), width=60, soft_wrap=True)
    out.print(status_report(found))
    (line,) = [line for line in out.file.getvalue().splitlines() if "takes no task" in line]
    assert line == "airflow-worker-1 takes no task: 'kit workers resume airflow-worker-1'"
    unknown = replace(found, queues=Queues(unknown="nobody knows"))
    assert [one["resting"] for one in unknown.as_dict()["workers"]] == [None, None]


def test_what_nobody_knows_is_said_with_the_reason():
    assert "queues unknown: the last look is 45 s old" in lines(Queues(unknown="the last look is 45 s old"))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2 h"), (180000, "2 d")],
)
def test_a_span_is_told_in_the_unit_that_people_would_take(seconds, words):
    assert span(seconds) == words


def test_the_json_holds_the_list_of_the_api(settings, answering):
    answering({"stale": False, "reason": "", "queues": [FILLED, EMPTY]})
    assert status.with_queues(settings, seen()).as_dict()["queues"] == [FILLED, EMPTY]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"stale": True, "reason": "the last look is old", "queues": [FILLED]}, "the last look is old"),
        (NotRunningError("Airflow does not answer"), "Airflow does not answer"),
        (httpx.HTTPStatusError("404", request=None, response=None), "does not say what waits"),
        (ValueError("no JSON"), "does not say what waits"),
        ({"detail": "Not Found"}, "does not say what waits"),
    ],
    ids=["stale", "away", "404", "no JSON", "other JSON"],
)
def test_an_answer_that_cannot_be_used_makes_the_queues_unknown_and_the_status_no_worse(
    settings, answering, answer, words
):
    answering(answer)
    found = status.with_queues(settings, seen())
    assert found.ready
    assert words in found.queues.unknown
    assert found.as_dict()["queues"] is None


@pytest.mark.parametrize("services", [(), (replace(API, healthy=False),), (replace(API, state="stopped"),)])
def test_an_api_server_that_is_not_up_is_not_asked(settings, answering, services):
    answering(AssertionError("it was asked"))
    down = replace(seen(), services=services)
    assert status.with_queues(settings, down).queues == Queues(unknown="airflow-apiserver is not up")


def test_nobody_who_listens_makes_the_queues_unknown_at_once(settings):
    found = status.with_queues(settings, seen())
    assert "nothing answers" in found.queues.unknown
