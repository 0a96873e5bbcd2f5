"""A real process that does not heed its timeout is ended, with its stack trace; and what is said of a process that ended without a word."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from types import SimpleNamespace

import pytest

from airflow_celery_kit.worker import deadline, record

STUBBORN = """
import sys, time, types
from datetime import timedelta
from airflow_celery_kit.worker import deadline
ti = types.SimpleNamespace(task=types.SimpleNamespace(execution_timeout=timedelta(seconds={timeout})))
deadline.on_task_instance_running(None, ti)
if {heeds}:
    deadline.on_task_instance_success(None, ti)
def deaf():
    time.sleep(1.5)
deaf()
"""


def run(timeout, heeds=False, grace="0.1"):
    """Run a task's process that sleeps for a second and a half."""
    return subprocess.run(
        [sys.executable, "-c", STUBBORN.format(timeout=timeout, heeds=heeds)],
        env=os.environ | {deadline.GRACE: grace}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_who_does_not_heed_its_timeout_is_ended_and_says_where_it_stood():
    found = run(0.2)
    assert found.returncode == 1 and "Timeout (0:00:00.32" in found.stderr and "in deaf" in found.stderr


@pytest.mark.parametrize(("timeout", "heeds", "grace"), [(0.2, True, "0.1"), (60, False, "0.1"), (0.2, False, "")])
def test_who_ends_in_time_and_who_is_not_watched_is_left(timeout, heeds, grace):
    found = run(timeout, heeds, grace)
    assert (found.returncode, found.stderr) == (0, "")


def test_a_tenth_of_the_timeout_is_added(monkeypatch):
    monkeypatch.setenv(deadline.GRACE, "10")
    seconds = lambda timeout: deadline.seconds_of(SimpleNamespace(execution_timeout=timeout))  # noqa: E731
    assert seconds(timedelta(minutes=10)) == pytest.approx(670) and seconds(None) is None
    monkeypatch.delenv(deadline.GRACE)
    assert seconds(timedelta(minutes=10)) is None


@pytest.fixture
def told(monkeypatch):
    """Says what a worker keeps of a process that ended so."""
    said = []
    teller = SimpleNamespace(tell=lambda kind, subject, facts: said.append((str(kind), subject.task, facts["error"])))
    monkeypatch.setattr(record, "teller", lambda source: teller)

    def end(code, state=None, failed=0):
        supervisor = SimpleNamespace(id="7", _exit_code=code, _terminal_state=state, failed_heartbeats=failed)
        record.tell_of_death(supervisor)
        return said

    return end


def test_a_killed_process_is_a_death(told):
    assert told(-signal.SIGKILL) == [("lost", "7", "its process was killed by SIGKILL")]


def test_a_process_that_just_ends_is_none(told):
    ((kind, _, error),) = told(3)
    assert kind == "error" and "exit code 3" in error


WITH_A_WORD = [(0, None, 0), (1, "failed", 0), (-9, "SERVER_TERMINATED", 0), (-9, None, 3), (-15, None, 0)]


@pytest.mark.parametrize(("code", "state", "failed"), WITH_A_WORD)
def test_what_said_why_or_was_told_to_leave_is_none(told, code, state, failed):
    assert told(code, state, failed) == []
