"""Nothing that a task or a user has said steers the terminal of who looks at it."""

from datetime import UTC, datetime
from io import StringIO
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from rich.console import Console

from airflow_celery_kit.cli import log_search, stack_commands
from airflow_celery_kit.cli.guard_lines import breaker_table, limit_notes, limit_table
from airflow_celery_kit.cli.health_lines import Verdicts
from airflow_celery_kit.cli.record_lines import Attempts, Runs, worker_table
from airflow_celery_kit.cli.repair_commands import stuck_table
from airflow_celery_kit.cli.story_lines import story
from airflow_celery_kit.core.log_lines import Entry

# A title of the window, a colour by a single letter of C1, the way back to the line's beginning, and one that rubs out.
EVIL = "a\x1b]0;pwned\x07\x9b31m\r\x7f\x00b"
SHOWN = "a\\x1b]0;pwned\\x07\\x9b31m\\x0d\\x7f\\x00b"
AT = "2026-01-31T12:00:00.000000+00:00"
TASK = {
    "id": "0198c1d2-5f2b-7c3a-9d41-0a1b2c3d4e5f", "dag_id": EVIL, "run_id": EVIL, "task_id": EVIL, "map_index": -1, "attempt": 1,
    "status": "FAILURE", "queue": EVIL, "worker": EVIL, "error": EVIL, "trace": None, "created_at": AT, "due_at": AT, "queued_at": AT,
    "published_at": AT, "received_at": AT, "started_at": AT, "completed_at": AT, "input": {"fields": {"sql": EVIL}}, "pool": EVIL, "priority": 1,
    "operator": EVIL, "progress": {"done": 1, "note": EVIL}, "result": EVIL, "instead_of": None, "replaced_by": None, "waits_for": EVIL,
    "since": AT, "hops": [], "events": [{"at": AT, "source": EVIL, "kind": EVIL, "facts": {EVIL: EVIL}}],
}  # fmt: skip
RUN = TASK | {
    "state": "running",
    "paused": False,
    "progress": "1/2",
    "counts": {EVIL: 1},
    "user_name": EVIL,
    "asked_by": EVIL,
}
WORKER = {"name": EVIL, "state": "drained", "queues": [EVIL], "slots": 1, "held": 0, "host": EVIL, "asked_by": EVIL}
LIMIT = {
    "name": EVIL, "slots": 3, "rate": None, "period": None, "per_worker": False, "suspended": {"who": EVIL, "reason": EVIL}, "problem": None,
    "tokens": [{"token": EVIL, "taken": 3, "waiting": 2}],
}  # fmt: skip
BREAKER = {
    "name": EVIL,
    "token": EVIL,
    "state": "open",
    "until": AT,
    "taken": 1,
    "waiting": 9,
    "reason": EVIL,
    "who": EVIL,
}
NOTES = {"unknown": [EVIL], "file": {"problem": EVIL}, "faults": {"count": 1, "at": AT, "last": EVIL}}
VERDICT = {"check": EVIL, "subject": EVIL + EVIL, "state": "Healthy", "since": AT, "why": EVIL, "cure": EVIL}
HEALTH = {"state": "Healthy", "ready": True, "verdicts": [VERDICT]}
PICTURES = {
    "attempts": lambda: Attempts([TASK]),
    "runs": lambda: Runs([RUN]),
    "workers": lambda: worker_table([WORKER]),
    "story": lambda: story(TASK),
    "limits": lambda: limit_table([LIMIT]),
    "breakers": lambda: breaker_table([BREAKER]),
    "notes": lambda: "\n".join(limit_notes(NOTES)),
    "health": lambda: Verdicts(HEALTH),
    "stuck": lambda: stuck_table([{"task": EVIL, "action": EVIL, "reason": EVIL}]),
}


def steering(text: str) -> str:
    """What of a text a terminal heeds."""
    return "".join(one for one in text if one not in "\n\t" and (one < " " or "\x7f" <= one < "\xa0"))


@pytest.mark.parametrize("width", [100, 2000])
@pytest.mark.parametrize("name", PICTURES)
def test_no_table_steers_a_terminal(name, width):
    screen = Console(file=StringIO(), width=width, highlight=False, soft_wrap=True)
    screen.print(PICTURES[name](), markup=False)
    text = screen.file.getvalue()
    assert steering(text) == ""
    assert width < 2000 or SHOWN in text


def test_no_line_of_a_log_does(monkeypatch):
    runtime = SimpleNamespace(name="embedded", logs=lambda *_: [f"a-1 | {EVIL}\ttab"])
    monkeypatch.setattr(stack_commands, "opened", lambda choice: (None, runtime))
    shown = CliRunner().invoke(stack_commands.logs, [], obj=None, catch_exceptions=False)
    assert shown.output == f"a-1 | {SHOWN}\ttab\n"


def test_no_line_that_was_looked_for_does_and_half_a_pair_can_be_written(capsys):
    log_search.show([Entry(datetime.now(UTC), "info", "a-1", f"{EVIL} \ud800\nsecond")], as_json=False)
    assert capsys.readouterr().out.endswith(f" info     a-1 | {SHOWN} \\ud800\nsecond\n")


def test_other_letters_stay():
    from airflow_celery_kit.cli.visible import visible

    assert visible("Zürich 東京 😀\n\t") == "Zürich 東京 😀\n\t"
