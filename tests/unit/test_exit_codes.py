"""What was not done is said, and is no success."""

import json

import pytest
from click.testing import CliRunner

from airflow_celery_kit.cli import guard_commands, housekeeping_commands, record_commands
from airflow_celery_kit.errors import KitError

ROW = {
    "what": "celery_taskmeta", "limit": "results", "keeps": "7d", "rows": 5, "bytes": 10, "oldest_seconds": 9, "removed": 5, "removed_bytes": 10,
}  # fmt: skip
DONE = json.dumps({"complete": True, "rows": [ROW], "errors": []})


@pytest.mark.parametrize("command", ["cancel-all", "retry-all"])
@pytest.mark.parametrize("left_out", [{}, {"0198-a": "it has ended", "0198-b": "it is [b]gone[/b]"}])
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_whoever_is_left_out_is_told(monkeypatch, command, left_out, more):
    answer = {"count": 2, "changed": 2 - len(left_out), "left_out": left_out, "some": []}
    monkeypatch.setattr(record_commands, "sent", lambda path, body: answer)
    ended = CliRunner().invoke(record_commands.tasks, [command, "--dag", "sales", "--count", "2", *more])
    assert ended.exit_code == bool(left_out)
    if more:
        assert json.loads(ended.output) == answer
        return
    said, *lines = ended.output.splitlines()
    assert said.startswith(f"{answer['changed']} of 2 are ")
    assert lines == [f"{id}: {why}" for id, why in left_out.items()]


def round_(monkeypatch, answers, *options):
    """Run `kit housekeeping` where the parts answer so; one that is an error is raised."""

    class Runtime:
        """Stands in for the runtime of a stack."""

        def names(self):
            """Return nothing that matters here."""

        def ask(self, service, command):
            """Answer as one part does after the other."""
            answer = left.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    left = list(answers)
    monkeypatch.setattr(housekeeping_commands, "opened", lambda choice: ({}, Runtime()))
    return CliRunner().invoke(housekeeping_commands.housekeeping, [*options])


@pytest.mark.parametrize(
    ("second", "options", "code"),
    [
        ({"complete": True, "errors": []}, [], 0), ({"complete": False, "errors": []}, [], 1),
        ({"complete": True, "errors": ["xcom: locked"]}, [], 1),
        ({"complete": False, "errors": []}, ["--dry-run"], 0), ({"complete": True, "errors": ["xcom: locked"]}, ["--dry-run"], 1),
        ({"complete": False, "errors": []}, ["--json"], 1),
    ],
)  # fmt: skip
def test_a_round_that_leaves_something_is_no_success(monkeypatch, second, options, code):
    ended = round_(monkeypatch, [DONE, json.dumps(second | {"rows": []})], *options)
    assert ended.exit_code == code, ended.output
    assert "celery_taskmeta" in ended.output


@pytest.mark.parametrize("answer", [KitError("the triggerer is away"), "", "no JSON"])
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_what_one_part_removed_is_said_though_the_other_fails(monkeypatch, answer, options):
    ended = round_(monkeypatch, [DONE, answer], *options)
    assert isinstance(ended.exception, KitError)
    assert "celery_taskmeta" in ended.stdout
    if options:
        assert json.loads(ended.stdout)["complete"] is False
    else:
        assert "the controller's loop goes on" in ended.output


def test_nothing_is_said_where_no_part_has_answered(monkeypatch):
    ended = round_(monkeypatch, [KitError("the controller is away")])
    assert isinstance(ended.exception, KitError) and "removed" not in ended.output


NOTHING = ROW | {"what": "sessions", "rows": 0, "bytes": 0, "removed": 0}


def test_what_has_nothing_to_remove_is_not_shown(monkeypatch):
    first = json.dumps({"complete": True, "rows": [ROW, NOTHING], "errors": []})
    ended = round_(monkeypatch, [first, json.dumps({"complete": True, "rows": [NOTHING], "errors": []})], "--dry-run")
    assert "celery_taskmeta" in ended.output and "sessions" not in ended.output


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_where_there_is_nothing_to_remove_that_is_said(monkeypatch, options):
    answer = json.dumps({"complete": True, "rows": [NOTHING], "errors": []})
    ended = round_(monkeypatch, [answer, answer], *options)
    assert ended.stdout == "Nothing is too old or too large: there is nothing to remove.\n"
    ill = json.dumps({"complete": True, "rows": [NOTHING], "errors": ["xcom: locked"]})
    for second in (ill, KitError("the triggerer is away")):
        assert round_(monkeypatch, [answer, second], *options).stdout == "", "nobody knows"


@pytest.mark.parametrize("problem", ["", "limits.yaml, line 2, column 3: limits.a: it limits nothing"])
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_limits_that_go_by_an_older_file_are_shown_and_no_success(monkeypatch, problem, more):
    faults = {"count": 0, "at": None, "last": None}
    answer = {"limits": [], "unknown": [], "file": {"problem": problem, "at": None}, "faults": faults}
    monkeypatch.setattr(guard_commands, "asked", lambda path, parameters: answer)
    ended = CliRunner().invoke(guard_commands.limits, ["list", *more])
    assert ended.exit_code == bool(problem) and problem in ended.stderr
    assert ("[]" if more else "There is no limit") in ended.stdout
