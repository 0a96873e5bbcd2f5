"""Runs in: unit tests; real processes whose session leader was killed."""

import os
import subprocess
import sys

import psutil

from airflow_celery_kit.runtimes.orphans import Session

LEADER = "sleep 300 & echo $!; wait"


def test_what_a_killed_leader_left_is_found_and_ended(tmp_path):
    session = Session(tmp_path / "supervisor.session")
    assert session.processes() == []
    with subprocess.Popen(["sh", "-c", LEADER], stdout=subprocess.PIPE, text=True, start_new_session=True) as leader:
        orphan = int(leader.stdout.readline())
        session.record(leader.pid)
        leader.kill()
        leader.wait()
        assert [process.pid for process in session.processes()] == [orphan]
        session.end()
    assert session.processes() == []


INSTANCE = """
import os, pathlib, subprocess, sys
from airflow_celery_kit.runtimes.orphans import end_last_group
os.setpgrp()
end_last_group(pathlib.Path(sys.argv[1]))
print(subprocess.Popen(["sleep", "300"], stdout=subprocess.DEVNULL).pid, flush=True)
sys.stdin.read()
"""


def test_a_file_that_was_cut_off_keeps_nothing_from_starting(tmp_path):
    for name in ("supervisor.session", "worker-1.group"):
        (tmp_path / name).write_text("")
    assert Session(tmp_path / "supervisor.session").processes() == []
    instance, child = start_instance(tmp_path / "worker-1.group")
    assert (tmp_path / "worker-1.group").read_text() == str(instance.pid) and psutil.pid_exists(child)
    os.killpg(instance.pid, 9)
    instance.wait()
    instance.stdin.close()
    instance.stdout.close()


def start_instance(file):
    """Start what the supervisor starts: a process that leads a group and has a child; return both process ids."""
    process = subprocess.Popen(
        [sys.executable, "-c", INSTANCE, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    return process, int(process.stdout.readline())


def test_a_restarted_instance_ends_what_its_killed_predecessor_left_and_nothing_else(tmp_path):
    first, orphan = start_instance(tmp_path / "worker-1.group")
    other, stranger = start_instance(tmp_path / "worker-2.group")
    left = psutil.Process(orphan)
    first.kill()
    first.wait()
    assert left.is_running()
    again, child = start_instance(tmp_path / "worker-1.group")
    psutil.wait_procs([left], timeout=5)
    assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE
    assert [psutil.pid_exists(pid) for pid in (stranger, child)] == [True, True]
    for process in (other, again):
        os.killpg(process.pid, 9)
        process.wait()
        process.stdin.close()
        process.stdout.close()
