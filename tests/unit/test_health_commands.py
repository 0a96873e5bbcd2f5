"""Runs in: tests; what people see of verdicts, and whom `kit health` believes."""

import json
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import httpx
import pytest
from rich.console import Console

from airflow_celery_kit.cli import health_commands
from airflow_celery_kit.cli.health_lines import Verdicts
from airflow_celery_kit.core.health import State, Verdict, report
from airflow_celery_kit.errors import BadInputError, KitError, NotRunningError

WELL = Verdict("broker", "broker", State.HEALTHY, time.time(), "answers in 1 ms")


def ill() -> Verdict:
    """A verdict of three minutes ago."""
    return Verdict("workers", "worker-2", State.UNHEALTHY, time.time() - 200, "last heard of 40 s ago", "see its log")


def shown(width: int) -> str:
    """What is printed where no terminal is."""
    console = Console(width=width, soft_wrap=True)
    with console.capture() as captured:
        console.print(Verdicts(report([WELL, ill()])))
    return captured.get()


@pytest.mark.parametrize("width", [80, 200])
def test_verdicts_are_readable_on_any_screen_the_worst_first(width):
    text = shown(width)
    assert text.splitlines()[0] == "Unhealthy, ready"
    assert all(
        word in text for word in ("worker-2", "for 3 min", "last heard of 40 s ago", "see its log", "answers in 1 ms")
    )
    assert text.index("worker-2") < text.index("answers in") and "\x1b" not in text


class Api:
    """Stands in for the api-server, which says one thing or fails in one way."""

    said: object = None

    def __init__(self, *_: object) -> None:
        pass

    def kit(self, path: str) -> object:
        """Answer."""
        if isinstance(self.said, Exception):
            raise self.said
        return self.said


class Runtime:
    """Stands in for a runtime whose controller looks once, or cannot."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def ask(self, service: str, command: list[str]) -> str:
        """Answer for the controller."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return "noise\n" + json.dumps({"verdicts": [one.as_dict() for one in self.answer]})


def judged(monkeypatch, said: object, answer: object) -> dict:
    """What `kit health` finds."""
    monkeypatch.setattr(health_commands, "Airflow", type("Said", (Api,), {"said": said}))
    return health_commands.judged(SimpleNamespace(), Runtime(answer))


def fresh(*verdicts: Verdict) -> dict:
    """What the api-server says."""
    return report(verdicts) | {"stale": False, "reason": ""}


def test_what_the_api_server_says_is_believed_while_it_is_fresh(monkeypatch):
    assert judged(monkeypatch, fresh(WELL), AssertionError("nobody else is asked"))["state"] == "Healthy"


@pytest.mark.parametrize(
    "away", [NotRunningError("it is away"), httpx.ReadTimeout("late"), KeyError("reason"), ValueError("no JSON")]
)
def test_where_it_says_nothing_a_look_is_made(monkeypatch, away):
    found = judged(monkeypatch, away, [WELL, ill()])
    assert (found["state"], found["stale"]) == ("Unhealthy", True) and "the api-server does not say" in found["reason"]


def test_old_verdicts_are_told_beside_a_new_look(monkeypatch):
    old = Verdict("health", "health", State.UNHEALTHY, time.time() - 60, "the last verdicts are 60 s old", vital=True)
    found = judged(monkeypatch, report([old]) | {"stale": True, "reason": old.why}, [WELL])
    assert (found["state"], found["ready"], [one["check"] for one in found["verdicts"]]) == (
        "Unhealthy",
        False,
        ["health", "broker"],
    )


def test_where_nobody_can_look_that_is_unhealthy_and_a_stack_that_is_down_is_said(monkeypatch):
    found = judged(monkeypatch, NotRunningError("away"), KitError("airflow-controller: no such container"))
    assert (found["state"], found["ready"]) == ("Unhealthy", False) and "no such container" in found["verdicts"][0][
        "why"
    ]
    with pytest.raises(NotRunningError):
        judged(monkeypatch, NotRunningError("away"), NotRunningError("the stack is not up"))


def test_a_login_that_is_refused_as_while_its_database_is_away_leaves_the_look(monkeypatch):
    found = judged(monkeypatch, BadInputError("Airflow refuses the login"), [WELL])
    assert found["state"] == "Healthy" and "refuses the login" in found["reason"]


def test_since_is_a_time_that_programs_read():
    (one,) = report([ill()])["verdicts"]
    assert abs(datetime.fromisoformat(one["since"]) - (datetime.now(UTC) - timedelta(seconds=200))) < timedelta(
        seconds=5
    )


@pytest.mark.parametrize("width", [80, 200])
def test_what_many_checks_say_alike_is_said_once(width):
    why = "the database is starting"
    blind = [
        Verdict(name, name, State.DEGRADED, time.time(), why, "wait") for name in ("scheduler", "triggerer", "workers")
    ]
    console = Console(width=width, soft_wrap=True)
    with console.capture() as captured:
        console.print(
            Verdicts(
                report([*blind, Verdict("metadata", "metadata", State.UNHEALTHY, time.time(), why, "wait", vital=True)])
            )
        )
    assert captured.get().count(why) == 2
    assert "scheduler, triggerer, workers" in captured.get()


def test_of_a_stack_that_runs_nobody_is_told_to_start_it(monkeypatch):
    found = judged(monkeypatch, NotRunningError("the stack is not up: run 'kit up'"), [WELL])
    assert found["reason"] == "the api-server does not say: it does not answer, as while it starts"


def test_an_answer_of_an_api_server_that_starts_is_told_by_its_number(monkeypatch):
    request = httpx.Request("POST", "http://127.0.0.1:8080/auth/token")
    answer = httpx.Response(500, request=request, json={"detail": {"statement": "SELECT ab_user.id FROM ab_user"}})
    found = judged(
        monkeypatch, httpx.HTTPStatusError("Server error\nFor more", request=request, response=answer), [WELL]
    )
    assert found["reason"] == "the api-server does not say: it answers 500"
