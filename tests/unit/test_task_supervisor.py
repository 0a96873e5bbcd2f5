"""Airflow's own supervisor of a real process that closes everything a while before it ends."""

import os
import time
import uuid
from types import SimpleNamespace

import pytest

from airflow_celery_kit.worker import task_supervisor

LINGERS = 0.4
SLEEP = 2.5


def leave_slowly() -> None:
    """Close everything, as the end of a task does, and be gone only a little later."""
    os.closerange(0, 1024)
    time.sleep(LINGERS)
    os._exit(7)


@pytest.fixture
def supervisor(monkeypatch):
    """Airflow's module; what a test changes in it is put back."""
    from airflow.sdk.execution_time import supervisor

    monkeypatch.setattr(supervisor, "MIN_HEARTBEAT_INTERVAL", SLEEP)
    own = supervisor.ActivitySubprocess._monitor_subprocess
    monkeypatch.setattr(supervisor.ActivitySubprocess, "_monitor_subprocess", own)
    return supervisor


def seconds_to_notice(supervisor, heartbeats: list[float] | None = None) -> float:
    """Run a process that leaves slowly; return how long the supervisor took to say how it ended.

    `heartbeats` gets how long ago the last heartbeat was at each of its looks; it sends one after MIN_HEARTBEAT_INTERVAL.
    """
    heartbeats = [] if heartbeats is None else heartbeats

    class WithoutApi(supervisor.ActivitySubprocess):
        """What it tells the api-server is left out."""

        def _on_child_started(self, **_) -> None:
            self._last_successful_heartbeat = time.monotonic()

        def update_task_state_if_needed(self) -> None: ...

        def _send_heartbeat_if_needed(self) -> None:
            heartbeats.append(time.monotonic() - self._last_heartbeat_attempt)

        def _upload_logs(self) -> None: ...

    task = SimpleNamespace(id=uuid.uuid4())
    begun = time.monotonic()
    started = WithoutApi.start(what=task, dag_rel_path="sales.py", bundle_info=None, client=None, target=leave_slowly)
    assert started.wait() == 7
    return time.monotonic() - begun


def test_airflow_alone_sleeps_through_the_exit(supervisor):
    assert seconds_to_notice(supervisor) >= SLEEP


def test_with_the_change_it_wakes_at_the_exit(supervisor):
    task_supervisor.install()
    assert LINGERS <= seconds_to_notice(supervisor) < SLEEP - 1


def test_a_task_that_has_just_started_sends_no_heartbeat(supervisor):
    alone, changed = [], []
    seconds_to_notice(supervisor, alone)
    task_supervisor.install()
    seconds_to_notice(supervisor, changed)
    assert alone[0] > SLEEP, "Airflow alone sends one at its first look"
    assert max(changed) < SLEEP


def test_a_kernel_without_process_descriptors_leaves_airflow_as_it_is(supervisor, monkeypatch):
    def refuse(*_) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(task_supervisor, "os", SimpleNamespace(pidfd_open=refuse))
    task_supervisor.install()
    assert seconds_to_notice(supervisor) >= SLEEP


def test_another_airflow_is_left_as_it_is(supervisor, monkeypatch):
    own = supervisor.ActivitySubprocess._monitor_subprocess
    monkeypatch.setitem(task_supervisor.WRITTEN_AGAINST, "_monitor_subprocess", "000000000000")
    task_supervisor.install()
    assert supervisor.ActivitySubprocess._monitor_subprocess is own
