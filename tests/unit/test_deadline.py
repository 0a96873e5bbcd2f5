"""A real process that does not heed its timeout is ended, with its stack trace; and what is said of a process that ended without a word."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest

from airflow_celery_kit.worker import deadline, leaving, record

STUBBORN = """
import time, types
from datetime import timedelta
from airflow_celery_kit.worker import deadline
task = types.SimpleNamespace(execution_timeout=timedelta(seconds={timeout}))
def deaf(context, function, task):
    time.sleep({takes})
print(deadline.note(__import__("os").getpid()), flush=True)
deadline.watched(deaf)(None, None, task)
time.sleep({after})
"""


def run(timeout, takes=1.5, after=0.0, grace="0.1", spool=""):
    """Run a task's process whose own code takes so many seconds, and what comes after it as many as that."""
    return subprocess.run(
        [sys.executable, "-c", STUBBORN.format(timeout=timeout, takes=takes, after=after)],
        env=os.environ | {deadline.GRACE: grace, deadline.FOLDER: str(spool)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_who_does_not_heed_its_timeout_is_ended_and_says_where_it_stood(tmp_path, monkeypatch):
    found = run(0.2, spool=tmp_path)
    assert found.returncode == 1 and "Timeout (0:00:00.32" in found.stderr and "in deaf" in found.stderr
    pid = int(found.stdout.strip().split(".")[-2])
    monkeypatch.setenv(deadline.FOLDER, str(tmp_path))
    assert [deadline.missed(pid), deadline.missed(pid), *tmp_path.iterdir()] == [0.2, None]


def test_who_died_before_its_time_did_not_miss_it(tmp_path, monkeypatch):
    monkeypatch.setenv(deadline.FOLDER, str(tmp_path))
    deadline.note(7).write_text(f"{time.monotonic() + 60} 50.0")
    assert deadline.missed(7) is None and not deadline.note(7).exists()


def test_who_ends_in_time_leaves_nothing(tmp_path):
    assert run(60, 0.1, spool=tmp_path).returncode == 0 and [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("timeout", "takes", "after", "grace"), [(0.5, 0.1, 1.0, "0.1"), (60, 0.1, 0, "0.1"), (0.1, 0.5, 0, "")]
)
def test_who_ends_in_time_and_who_is_not_watched_is_left(timeout, takes, after, grace):
    found = run(timeout, takes, after, grace)
    assert (found.returncode, found.stderr, found.stdout) == (0, "", "None\n")


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
        supervisor = SimpleNamespace(id="7", pid=7, _exit_code=code, _terminal_state=state, failed_heartbeats=failed)
        record.tell_of_death(supervisor)
        return said

    return end


def test_a_killed_process_is_a_death(told):
    assert told(-signal.SIGKILL) == [("lost", "7", "its process was killed by SIGKILL")]


def test_a_death_on_the_worker_s_way_out_is_marked(monkeypatch, tmp_path):
    monkeypatch.setenv("KIT_BEAT_FILE", str(tmp_path / "beat"))
    leaving.begin()
    assert record.death("x") == {"error": "x", "leaving": True}
    leaving.forget()
    assert record.death("x") == {"error": "x"}


def test_a_process_that_its_watch_ended_has_missed_its_timeout(told, tmp_path, monkeypatch):
    monkeypatch.setenv(deadline.FOLDER, str(tmp_path))
    deadline.note(7).write_text(f"{time.monotonic() - 1} 15.0")
    ((kind, _, error),) = told(1)
    assert kind == "timed_out" and "did not heed its timeout of 15 s" in error


def test_a_process_that_just_ends_is_none(told):
    ((kind, _, error),) = told(3)
    assert kind == "error" and "exit code 3" in error


WITH_A_WORD = [(0, None, 0), (1, "failed", 0), (-9, "SERVER_TERMINATED", 0), (-9, None, 3), (-15, None, 0)]


@pytest.mark.parametrize(("code", "state", "failed"), WITH_A_WORD)
def test_what_said_why_or_was_told_to_leave_is_none(told, code, state, failed):
    assert told(code, state, failed) == []
