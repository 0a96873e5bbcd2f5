"""What containers print is one line for each of theirs, whatever bytes a task wrote into it."""

import os

import pytest
from click.testing import CliRunner

from airflow_celery_kit.cli import stack_commands
from airflow_celery_kit.runtimes import compose

# What Compose prints: a progress bar, half of a character, separators that Python takes for ends of lines, a line that has no end yet.
PRINTED = (
    b"airflow-worker-1  | 10 %\r50 %\r100 %\n"
    b"airflow-worker-1  | caf\xc3 and \xff\xfe\n"
    b"airflow-worker-1  | a\x0bb\x0cc\x1cd\xc2\x85e\xe2\x80\xa8f\n"
    b"airflow-worker-1  | from Windows\r\n"
    b"\x1b[2Kairflow-worker-1  | erased\n"
    b"other-1  | not asked for\n"
    b"airflow-worker-1  | the end"
)
LINES = [
    "10 %\r50 %\r100 %", "caf\ufffd and \ufffd\ufffd", "a\x0bb\x0cc\x1cd\x85e\u2028f", "from Windows", "erased", "the end",
]  # fmt: skip


@pytest.fixture
def stack(settings, tmp_path, monkeypatch):
    """A stack whose `docker` is a program that prints these bytes."""
    (tmp_path / "printed").write_bytes(PRINTED)
    program = tmp_path / "docker"
    program.write_text(f'#!/bin/sh\nexec cat "{tmp_path}/printed"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(compose.Compose, "_require_up", lambda self: None)
    monkeypatch.setattr(compose.Compose, "_all_names", lambda self: ["airflow-worker-1"])
    return compose.Compose(settings)


@pytest.mark.parametrize("follow", [False, True])
def test_a_line_is_what_was_printed_as_one(stack, follow):
    assert list(stack.logs([], follow, 100)) == [f"airflow-worker-1  | {line}" for line in LINES]


def test_what_is_searched_has_the_same_lines(stack):
    assert list(stack.history([])["airflow-worker-1"]) == LINES


def test_the_command_shows_them_and_ends_well(stack, monkeypatch):
    monkeypatch.setattr(stack_commands, "opened", lambda choice: (None, stack))
    shown = CliRunner().invoke(stack_commands.logs, [], obj=None, catch_exceptions=False)
    assert shown.exit_code == 0 and "10 %\\x0d50 %\\x0d100 %\n" in shown.output and "caf\ufffd and" in shown.output


def test_what_starting_prints_need_not_be_text(stack):
    told = []
    stack._stream(told.append, "building", "up")
    assert "building: airflow-worker-1  | caf\ufffd and \ufffd\ufffd" in told
