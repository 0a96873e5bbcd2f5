"""What people see of limits and breakers."""

from io import StringIO

import pytest
from rich.console import Console

from airflow_celery_kit.cli.guard_commands import rule_line
from airflow_celery_kit.cli.guard_lines import breaker_table, limit_notes, limit_table
from airflow_celery_kit.guards.scopes import TASKS, ScopeError, scope

LIMIT = {
    "name": "crm-db", "slots": 3, "rate": None, "period": None, "per_worker": False, "suspended": None, "problem": None,
    "tokens": [{"token": "anna", "taken": 3, "waiting": 2}, {"token": "ben", "taken": 1, "waiting": 0}],
}  # fmt: skip
BREAKER = {
    "name": "crm", "token": "", "state": "open", "until": "2026-01-31T12:00:30.5+00:00", "taken": 1, "waiting": 97, "reason": "3 failures in 60 s",
    "who": None, "origin": "file", "rule": {"open": 30, "when": {}},
}  # fmt: skip
FINE = {"unknown": [], "file": {"problem": "", "at": None}, "faults": {"count": 0, "at": None, "last": None}}


def shown(what) -> list[list[str]]:
    """The words on a wide screen, line by line, without the titles."""
    screen = Console(file=StringIO(), width=200)
    screen.print(what)
    return [line.split() for line in screen.file.getvalue().splitlines()[1:]]


def test_a_limit_has_a_line_for_each_of_its_tokens():
    assert shown(limit_table([LIMIT])) == [
        ["crm-db", "anna", "3", "of", "3", "2"],
        ["crm-db", "ben", "1", "of", "3", "0"],
    ]


def test_a_rate_and_who_suspended_a_limit_are_said():
    stopped = {"who": "anna", "reason": "[b]noon[/b]"}
    found = LIMIT | {"slots": None, "rate": 200, "period": 60.0, "per_worker": True, "suspended": stopped, "tokens": []}
    assert shown(limit_table([found])) == [
        ["crm-db", "0", "0", "200/m", "a", "worker", "suspended", "by", "anna:", "[b]noon[/b]"]
    ]


def test_what_is_wrong_is_said_and_nothing_else():
    assert limit_notes(FINE) == []
    wrong = {
        "unknown": ["mails"], "file": {"problem": "line 2", "at": ""}, "faults": {"count": 2, "at": "2026-01-31T12:00:30", "last": "oops"},
    }  # fmt: skip
    assert [note.split(":")[-1].strip() for note in limit_notes(wrong)] == ["it limits nothing.", "line 2", "oops"]


def test_a_breaker_that_goes_by_a_check_that_nobody_makes_is_told():
    (note,) = limit_notes(
        FINE | {"checks": ["crm"], "unknown_checks": [{"breaker": "shop", "check": "cmr", "origin": "dag"}]}
    )
    assert (
        note
        == "Breaker shop, of a Dag: there is no health check cmr: did you mean crm? The only one is crm; no verdict opens it."
    )


def test_a_breaker_says_until_when_it_is_open_and_why():
    assert shown(breaker_table([BREAKER])) == [
        ["open", "crm", "2026-01-31", "12:00:30", "1", "97", "3", "failures", "in", "60", "s"]
    ]
    assert rule_line(BREAKER) == "config/limits.yaml says: open: 30"


def dag_with(tasks):
    """Answers what is asked for of a Dag `sales.v2`: its name, and its tasks where they are known."""
    return lambda statement, _: tasks if statement == TASKS else ["sales.v2"]


def test_a_task_that_its_dag_does_not_have_is_told_with_the_nearest_name():
    with pytest.raises(
        ScopeError, match="in Dag sales.v2 there is no task lod: did you mean load. There are extract, load"
    ):
        scope("task:sales.v2.lod", dag_with(["load", "extract"]))
    assert scope("task:sales.v2.load", dag_with(["load", "extract"]))["tasks"] == "^(?:load)$"


def test_a_task_is_looked_for_in_each_dag_that_its_name_may_begin_with():
    tasks = {"sales.v2": ["load"], "sales": ["v2.merge"]}
    there = lambda statement, name: tasks[name] if statement == TASKS else list(tasks)  # noqa: E731
    made = scope("task:sales.v2.merge", there)
    assert (made["dags"], made["tasks"]) == ("^(?:sales)$", "^(?:v2\\.merge)$")
    with pytest.raises(ScopeError, match="in Dag sales.v2 there is no task lod"):
        scope("task:sales.v2.lod", there)


def test_a_scope_is_a_limit_of_no_slots_for_what_it_names():
    made = scope("task:sales.v2.load[x]", dag_with(None))
    assert (made["id"], made["slots"], made["origin"]) == ("limit task:sales.v2.load[x]", 0, "hand")
    assert (made["dags"], made["tasks"]) == ("^(?:sales\\.v2)$", "^(?:load[\\[]x\\])$")
    with pytest.raises(ScopeError, match="there is no pool small"):
        scope("pool:small", lambda *_: None)
    with pytest.raises(ScopeError, match=r"'queue:\\x01' cannot be suspended: '\\x01' is no letter of a name"):
        scope("queue:\x01", lambda statement, name: name)
    with pytest.raises(ScopeError, match="dag:ID, task:DAG.TASK"):
        scope("crm", lambda *_: "x")
