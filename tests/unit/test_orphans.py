"""Runs in: unit tests; real processes whose session leader was killed."""

import subprocess

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
