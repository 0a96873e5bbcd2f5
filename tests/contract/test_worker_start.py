"""What the guard of a worker does before, around and after the worker, against a real broker."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airflow_celery_kit.worker.way_out import soft_seconds

ON_WHEELS_ALONE = True
QUICK = "print('up', flush=True)"
# Goes on after SIGTERM as a worker with a long task does: main, pool and task process, each saying what it is told.
BUSY = """
import os, signal, sys, time
def tell(what): os.write(1, what.encode() + b"\\n")
def wait():
    while True: time.sleep(1)
ready, say = os.pipe()
if not os.fork():
    if not (task := os.fork()):
        signal.signal(signal.SIGTERM, lambda *_: tell("task asked"))
        os.write(say, b"1")
        wait()
    os.waitpid(task, 0)
    tell("task killed")
    wait()
signal.signal(signal.SIGTERM, lambda *_: tell("term"))
signal.signal(signal.SIGQUIT, lambda *_: (tell("quit"), sys.exit(0)))
os.read(ready, 1)
tell("up")
wait()
"""


# Beats no more from its start on, runs no task, and ends by itself 12 s after that.
SILENT = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: None)
beat = os.environ["KIT_BEAT_FILE"]
open(beat, "w").close()
os.utime(beat, (1, 1))
print("up", flush=True)
until = time.monotonic() + 12
while time.monotonic() < until: time.sleep(0.1)
sys.exit(3)
"""


@pytest.fixture
def environment(stack, tmp_path) -> dict[str, str]:
    """What a worker's process is started with, as far as the guard reads it."""
    return {
        "PATH": os.environ["PATH"],
        "AIRFLOW__CELERY__BROKER_URL": f"redis://127.0.0.1:{stack.settings['VALKEY_PORT']}/0",
        "AIRFLOW__CELERY__RESULT_BACKEND": "db+postgresql://celery@127.0.0.1/celery",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(tmp_path),
        "KIT_BROKER_PASSWORD_FILE": str(stack.settings.secrets / "valkey_password"),
        "KIT_BEAT_FILE": str(tmp_path / "beat"),
        "KIT_STOP_GRACE": "600s",
    }


def guard(code: str, environment: dict[str, str], silent_seconds: float | None = None) -> subprocess.Popen[str]:
    """Start a guard around a worker that is these lines of Python; it bears silence as long as it does, or as said."""
    command = [sys.executable, "-m", "airflow_celery_kit.worker.guard"]
    if silent_seconds is not None:
        impatient = (
            f"import sys; from airflow_celery_kit.worker import guard; guard.SILENT_SECONDS = {silent_seconds}; "
        )
        command = [sys.executable, "-c", impatient + "sys.exit(guard.main(sys.argv[1:]))"]
    command += [sys.executable, "-c", code]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


@pytest.mark.parametrize("code", [0, 3])
def test_the_guard_ends_as_its_worker_does(environment, code):
    with guard(f"raise SystemExit({code})", environment) as started:
        assert started.wait(30) == code


@pytest.mark.parametrize(("told", "code"), [(False, 1), (True, 3)], ids=["killed", "left alone on its way out"])
def test_a_silent_worker_is_killed_unless_it_was_told_to_stop(environment, told, code):
    with guard(SILENT, environment, silent_seconds=2) as started:
        assert started.stdout.readline() == "up\n"
        if told:
            started.send_signal(signal.SIGTERM)
        assert started.wait(30) == code


COMES_BACK = """
import os, pathlib, sys
from airflow_celery_kit.worker import guard
guard.SILENT_SECONDS = 0
guard.own_fault = lambda: pathlib.Path(os.environ["KIT_BEAT_FILE"]).touch() or "others reach the broker"
sys.exit(guard.main(sys.argv[1:]))
"""


def test_a_worker_that_comes_back_while_its_guard_asks_is_not_killed(environment):
    command = [sys.executable, "-c", COMES_BACK, sys.executable, "-c", SILENT]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as started:
        assert started.stdout.readline() == "up\n"
        assert started.wait(30) == 3
    assert os.stat(environment["KIT_BEAT_FILE"]).st_mtime > 1, "its guard asked"


def test_a_worker_without_room_on_disk_is_not_started_before_there_is_some(environment):
    with guard(QUICK, environment | {"KIT_LEAST_DISK_BYTES": str(1 << 60)}) as started:
        assert "the worker waits: room on disk: out of disk: " in started.stderr.readline()
        time.sleep(3)
        assert started.poll() is None
        started.terminate()
        assert (started.wait(30), started.stdout.read()) == (0, "")


FULL = """
set -e
mount -t tmpfs -o size=256k tmpfs /mnt
head -c 1m /dev/zero > /mnt/filler 2> /dev/null || true
for folder in /tmp /var/tmp; do mount --bind $folder $folder; mount -o remount,bind,ro $folder; done
cd /mnt
exec "$@"
"""
NAMESPACE = ["unshare", "--mount", "sh", "-c", FULL, "sh"]


def test_a_worker_s_very_first_start_on_a_full_disk_waits_for_room_in_one_line(environment):
    if os.geteuid() != 0 or subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs a full disk, which only root can mount")
    environment |= {
        "TMPDIR": "/mnt",
        "KIT_BEAT_FILE": "/mnt/beat",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": "/mnt",
        "KIT_LEAST_DISK_BYTES": "65536",
    }
    command = [*NAMESPACE, sys.executable, "-m", "airflow_celery_kit.worker.guard", sys.executable, "-c", QUICK]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as started:
        line = started.stderr.readline()
        assert (
            "the worker waits: room on disk: out of disk: 0 MiB left for logs, no folder takes temporary files" in line
        )
        time.sleep(2)
        assert started.poll() is None
        # Its disk is seen by way of the process alone.
        os.unlink(f"/proc/{started.pid}/root/mnt/filler")
        assert "the worker goes on: room on disk is there" in started.stderr.readline()
        assert (started.stdout.readline(), started.wait(30)) == ("up\n", 0)
        assert started.stderr.read() == ""


def test_a_worker_started_without_its_broker_waits_for_it(environment, stack):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    environment["AIRFLOW__CELERY__BROKER_URL"] = f"redis://{address[0]}:{address[1]}/0"
    with guard(QUICK, environment) as started:
        assert "the worker waits: broker: [Errno 111]" in started.stderr.readline()
        there = ("127.0.0.1", stack.settings.number("VALKEY_PORT"))
        with socket.create_server(address) as port, socket.create_connection(there) as broker:
            relay(port, broker)
            assert "the worker goes on: broker is there" in started.stderr.readline()
        assert started.stdout.readline() == "up\n"
        assert started.wait(30) == 0


def relay(port: socket.socket, broker: socket.socket) -> None:
    """Let one question through to the real broker, and its whole answer back."""
    asker, _ = port.accept()
    with asker:
        broker.sendall(asker.recv(4096))
        answer = b""
        while b"+PONG" not in answer:
            answer += broker.recv(4096)
        asker.sendall(answer)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"KIT_STOP_GRACE": ""}, "settings: KIT_STOP_GRACE not set"),
        ({"KIT_BROKER_PASSWORD_FILE": "/nowhere/password"}, "broker's password: /nowhere/password: No such file"),
        ({"AIRFLOW__LOGGING__BASE_LOG_FOLDER": "/nowhere/logs"}, "folder of task logs: /nowhere/logs is no folder"),
    ],
)
def test_a_mandatory_step_refuses_the_start_with_one_line(environment, change, said):
    with guard(QUICK, environment | change) as started:
        told = started.stderr.read()
        assert started.wait(30) == os.EX_CONFIG
    assert "the worker does not start: " + said in told
    assert told.count("\n") == 1


def test_tasks_finish_until_the_deadline_and_are_ended_in_steps_then(environment):
    grace = 16
    environment["KIT_STOP_GRACE"] = f"{grace}s"
    with guard(BUSY, environment) as started:
        assert started.stdout.readline() == "up\n"
        begun = time.monotonic()
        for _ in range(2):  # The second one does not move the deadline.
            started.send_signal(signal.SIGTERM)
            assert started.stdout.readline() == "term\n"
        told = [(started.stdout.readline().strip(), time.monotonic() - begun) for _ in range(3)]
        assert started.wait(30) == 0
        os.killpg(started.pid, signal.SIGKILL)
    assert [what for what, _ in told] == ["task asked", "task killed", "quit"]
    assert soft_seconds(grace) <= told[0][1] < told[1][1] < told[2][1]
    assert told[2][1] < grace


def test_a_guard_without_its_broker_can_be_stopped(environment):
    environment["AIRFLOW__CELERY__BROKER_URL"] = "redis://127.0.0.1:1/0"
    with guard(QUICK, environment) as started:
        assert "waits" in started.stderr.readline()
        started.terminate()
        assert started.wait(10) == 0
    assert not Path(environment["KIT_BEAT_FILE"]).exists()
