"""What people see: plain lines without a terminal, a picture on one, and every text as it stands."""

import os
import pty
import re
import subprocess
import sys

import pytest

STEPS = """
from airflow_celery_kit.cli.display import steps
with steps() as shown:
    for text in {texts!r}:
        shown.say(text)
"""
STATUS = """
from airflow_celery_kit.cli.display import steps
from airflow_celery_kit.runtimes.base import Instance
from airflow_celery_kit.status import Reason
parts = (Instance("valkey", "valkey-1", "running", True, 7, None, "valkey-1"),)
with steps() as shown:
    for reasons in ((Reason("valkey-1 is missing"), Reason("b-1 is not healthy: no beat [yet]", "b-1")), ()):
        shown.show(parts, reasons)
"""


def plain(code: str) -> list[str]:
    """The lines on standard error of a process without a terminal."""
    ended = subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    return ended.stderr.splitlines()


def on_terminal(code: str) -> str:
    """What a process writes to a real terminal."""
    controller, terminal = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", code], stdin=terminal, stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        shown = b""
        try:
            while part := os.read(controller, 65536):
                shown += part
        except OSError:
            pass  # How Linux says that the last user of the terminal has left.
    os.close(controller)
    assert process.returncode == 0, shown.decode()
    return shown.decode()


def test_without_a_terminal_each_step_is_a_line_with_its_seconds():
    lines = plain(STEPS.format(texts=["building images", "starting"]))
    assert [re.sub(r"^ +\d+\.\d s  ", "", line) for line in lines] == ["building images", "starting"]
    assert not any("\x1b" in line for line in lines)


def test_a_step_that_is_told_twice_is_shown_once():
    assert len(plain(STEPS.format(texts=["starting", "starting", "starting"]))) == 1


def test_a_long_step_stays_on_one_line():
    (line,) = plain(STEPS.format(texts=["word " * 100]))
    assert line.count("word") == 100


@pytest.mark.parametrize(
    "text", ["#12 [airflow 3/6] RUN make", "#9 [internal] load", "copy [/opt/airflow] done", "[red]"]
)
def test_square_brackets_of_a_build_are_shown_as_they_stand(text):
    (line,) = plain(STEPS.format(texts=[text]))
    assert line.endswith(text)


def test_without_a_terminal_what_is_awaited_is_named_without_its_details():
    waiting, ready = plain(STATUS)
    assert waiting.endswith("waiting: valkey-1 is missing, b-1 is not healthy")
    assert ready.endswith("ready")


def test_on_a_terminal_there_is_a_picture_that_is_removed_at_the_end():
    shown = on_terminal(STATUS)
    assert "valkey-1" in shown
    assert "\x1b[2K" in shown


LIST = """
from airflow_celery_kit.cli.display import OUT
from airflow_celery_kit.cli.record_lines import plain_table
table = plain_table("dag", "error")
for error in ("word " * 60 + "end", "short"):
    table.add_row("a-dag-with-a-long-name" * 4, error)
OUT.print(table)
"""


def test_in_a_pipe_no_list_wraps_or_is_cut_off_and_no_line_ends_in_spaces():
    ended = subprocess.run(
        [sys.executable, "-c", LIST], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    titles, long, short = ended.stdout.splitlines()
    assert long.startswith("a-dag-with-a-long-name" * 4 + " ") and long.endswith("word " * 60 + "end")
    assert (titles.split(), short.split()[-1], short[-1]) == (["dag", "error"], "short", "t")


def test_on_a_terminal_a_list_keeps_to_its_width():
    assert max(map(len, on_terminal(LIST).splitlines()[1:])) <= 80
