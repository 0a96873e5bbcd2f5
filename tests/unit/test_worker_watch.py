"""When a worker counts as deaf, and when its guard ends it."""

import subprocess
import sys
import time

import pytest

from airflow_celery_kit.worker.guard import SILENT_SECONDS, Watch
from airflow_celery_kit.worker.hearing import DEAF_SECONDS, Hearing


def test_messages_that_wait_beside_free_slots_mean_deaf_after_a_while():
    hearing = Hearing()
    hearing.is_deaf(0, 4, 10, 0.0)
    assert not hearing.is_deaf(3, 4, 10, 100.0)
    assert not hearing.is_deaf(3, 4, 10, 100.0 + DEAF_SECONDS - 1)
    assert hearing.is_deaf(3, 4, 10, 100.0 + DEAF_SECONDS)
    assert hearing.is_deaf(0, 4, 10, 200.0), "others took what waited"
    assert not hearing.is_deaf(3, 4, 11, 201.0), "it took one itself"


@pytest.mark.parametrize(
    ("waiting", "free", "received"), [(0, 4, 10), (3, 0, 10), (3, 4, 11)], ids=["nothing waits", "no slot is free", "one was received"]
)  # fmt: skip
def test_it_hears_when(waiting, free, received):
    hearing = Hearing()
    for now in (0.0, 1.0):
        hearing.is_deaf(3, 4, 10, now)
    assert not hearing.is_deaf(waiting, free, received, 50.0)
    assert not hearing.is_deaf(3, 4, received, 51.0), "the time begins anew"


def test_a_silent_worker_is_ended_only_while_its_broker_answers_and_no_task_runs():
    answers = True
    watch = Watch(lambda: answers)
    assert not watch.is_to_end(20.0, False, 0.0)
    assert not watch.is_to_end(80.0, True, SILENT_SECONDS), "a task runs"
    assert watch.is_to_end(80.0, False, SILENT_SECONDS)
    answers = False
    assert not watch.is_to_end(80.0, False, SILENT_SECONDS + 1)
    answers = True
    assert not watch.is_to_end(80.0, False, SILENT_SECONDS + 2), "the time begins anew when the broker is back"


@pytest.mark.parametrize("age", [None, 2.0], ids=["never beat", "beats"])
def test_a_worker_that_starts_or_beats_is_left_alone(age):
    watch = Watch(lambda: True)
    assert not any(watch.is_to_end(age, False, now) for now in (0.0, 1000.0))


@pytest.mark.parametrize("code", [0, 3])
def test_the_guard_ends_as_its_worker_does(tmp_path, code):
    command = [
        sys.executable,
        "-m",
        "airflow_celery_kit.worker.guard",
        sys.executable,
        "-c",
        f"raise SystemExit({code})",
    ]
    ended = subprocess.run(command, env={"KIT_BEAT_FILE": str(tmp_path / "beat")}, timeout=30, check=False)
    assert ended.returncode == code


def test_the_guard_hands_on_the_wish_to_stop_and_waits(tmp_path):
    worker = "import signal, time; signal.signal(15, lambda *_: (time.sleep(1), exit(7))); print('up', flush=True); time.sleep(60)"
    command = [sys.executable, "-m", "airflow_celery_kit.worker.guard", sys.executable, "-c", worker]
    with subprocess.Popen(command, env={"KIT_BEAT_FILE": str(tmp_path / "beat")}, stdout=subprocess.PIPE) as guard:
        assert guard.stdout.readline() == b"up\n"
        begun = time.monotonic()
        guard.terminate()
        assert guard.wait(20) == 7
        assert time.monotonic() - begun >= 1
