"""The health checks of broker and worker against a real broker: true, false for the right reason, and never late."""

import os
import re
import signal
import socket
import threading
import time

import pytest

from airflow_celery_kit.probes.worker import RETURN_SECONDS, away_mark
from airflow_celery_kit.worker import cut_off, guard
from tests.slack import PATIENCE


@pytest.fixture
def frozen(stack):
    """The broker stands still, with its sockets open."""
    stack.freeze("valkey")
    yield stack
    stack.thaw("valkey")
    assert stack.valkey.ping()


@pytest.fixture
def wrong_password(tmp_path) -> str:
    """A file with another password."""
    (tmp_path / "password").write_text("not-the-password")
    return str(tmp_path / "password")


@pytest.fixture
def beat(tmp_path):
    """Makes a beat file of an age."""

    def make(age: float) -> str:
        path = tmp_path / "worker.beat"
        path.touch()
        os.utime(path, (time.time() - age,) * 2)
        return str(path)

    return make


def test_a_healthy_broker(probe):
    ended = probe("broker")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_wrong_password_is_said_and_not_shown(probe, stack, wrong_password):
    ended = probe("broker", KIT_BROKER_PASSWORD_FILE=wrong_password)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert ended.stdout.startswith("broker: broker says -WRONGPASS")
    assert "not-the-password" not in ended.stdout


def test_a_broker_that_is_away(probe):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    ended = probe("broker", AIRFLOW__CELERY__BROKER_URL=f"redis://127.0.0.1:{port}/0")
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "Connection refused" in ended.stdout


def test_a_frozen_broker_is_noticed_within_the_timeout(probe, frozen):
    begun = time.monotonic()
    ended = probe("broker")
    assert time.monotonic() - begun < 7 * PATIENCE
    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (1, "broker: timed out", "")


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+OK\r\n-LOADING wait\r\n", b"\xff\xfe\r\n"]
)
def test_somebody_else_behind_the_port_is_not_taken_for_the_broker(probe, answer):
    import threading

    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            connection.recv(4096)
            connection.sendall(answer)
            connection.close()

        threading.Thread(target=serve, daemon=True).start()
        ended = probe("broker", AIRFLOW__CELERY__BROKER_URL=f"redis://127.0.0.1:{server.getsockname()[1]}/0")
    assert (ended.returncode, ended.stderr) == (1, "")
    assert ended.stdout.startswith("broker: ")


def test_a_broker_that_is_nearly_full_is_told_before_it_refuses_anything(probe, nearly_full):
    assert nearly_full.valkey.set("one", "more")
    ended = probe("broker")
    assert ended.returncode == 1
    assert re.fullmatch(r"broker: is full \(9\d% of maxmemory\): new messages wait until there is room\n", ended.stdout)


def test_a_worker_does_not_mind_a_broker_that_is_nearly_full(probe, beat, nearly_full):
    assert probe("worker", KIT_BEAT_FILE=beat(1)).returncode == 0


@pytest.fixture
def nowhere() -> str:
    """The address of a broker that is not there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"redis://127.0.0.1:{server.getsockname()[1]}/0"


@pytest.mark.parametrize("age", [1, 100])
def test_a_worker_is_not_judged_while_its_broker_is_away(probe, beat, nowhere, age):
    ended = probe("worker", KIT_BEAT_FILE=beat(age), AIRFLOW__CELERY__BROKER_URL=nowhere)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("broker: ") and "Connection refused" in ended.stdout


def test_a_worker_that_never_beat_is_not_well_though_its_broker_is_away(probe, tmp_path, nowhere):
    ended = probe("worker", KIT_BEAT_FILE=str(tmp_path / "none"), AIRFLOW__CELERY__BROKER_URL=nowhere)
    assert ended.returncode == 1 and "Connection refused" in ended.stdout


@pytest.mark.parametrize(("seconds", "code"), [(1, 0), (RETURN_SECONDS + 5, 1), (-3600, 1)])
def test_a_worker_has_a_moment_to_find_back_to_a_broker_that_was_away(probe, beat, monkeypatch, seconds, code):
    path = beat(100)
    monkeypatch.setenv("KIT_BEAT_FILE", path)
    away_mark().touch()
    os.utime(away_mark(), (time.time() - seconds,) * 2)
    ended = probe("worker", KIT_BEAT_FILE=path)
    assert ended.returncode == code and ended.stdout.startswith("worker: last beat 10")
    os.unlink(path)
    assert probe("worker", KIT_BEAT_FILE=path).returncode == 1, "it never beat"


def test_a_password_that_cannot_be_read_is_the_worker_s_own_fault(probe, beat, tmp_path):
    ended = probe("worker", KIT_BEAT_FILE=beat(1), KIT_BROKER_PASSWORD_FILE=str(tmp_path / "none"))
    assert (ended.returncode, ended.stdout) == (1, f"broker: {tmp_path / 'none'}: No such file or directory\n")


@pytest.fixture
def guarded(stack, monkeypatch, tmp_path) -> None:
    """The environment of a worker's guard, in this process."""
    settings = stack.settings
    monkeypatch.setenv("KIT_BEAT_FILE", str(tmp_path / "worker.beat"))
    monkeypatch.setenv("AIRFLOW__CELERY__BROKER_URL", f"redis://127.0.0.1:{settings['VALKEY_PORT']}/0")
    monkeypatch.setenv("KIT_BROKER_USER", "airflow")
    monkeypatch.setenv("KIT_BROKER_PASSWORD_FILE", str(settings.secrets / "valkey_password"))


@pytest.mark.usefixtures("guarded")
def test_a_guard_leaves_a_mark_while_the_broker_is_away_and_none_while_it_refuses_the_login(
    monkeypatch, nowhere, wrong_password
):
    assert guard.own_fault() == guard.ANSWERS and not away_mark().exists()
    with monkeypatch.context() as changed:
        changed.setenv("KIT_BROKER_PASSWORD_FILE", wrong_password)
        assert guard.own_fault() == guard.ANSWERS and not away_mark().exists()
    monkeypatch.setenv("AIRFLOW__CELERY__BROKER_URL", nowhere)
    assert guard.own_fault() == "" and away_mark().exists()
    monkeypatch.setenv("KIT_BEAT_FILE", "/proc/none/worker.beat")
    assert guard.own_fault() == "", "no mark can be made there, and the guard goes on"


@pytest.mark.usefixtures("guarded")
def test_a_guard_calls_its_worker_cut_off_only_where_no_way_leads_to_the_broker(monkeypatch, nowhere):
    monkeypatch.setenv(cut_off.ADDRESS, "http://nowhere.invalid:8080/execution/")
    monkeypatch.setenv("AIRFLOW__CELERY__BROKER_URL", "redis://nowhere.invalid:6379/0")
    assert guard.own_fault() == cut_off.NOWHERE
    monkeypatch.setenv("AIRFLOW__CELERY__BROKER_URL", nowhere)
    assert guard.own_fault() == "", "a broker that is stopped refuses"


@pytest.mark.usefixtures("guarded")
def test_a_guard_that_is_to_stop_asks_nobody_else(monkeypatch):
    monkeypatch.setenv(cut_off.ADDRESS, "http://nowhere.invalid:8080/execution/")
    monkeypatch.setenv("AIRFLOW__CELERY__BROKER_URL", "redis://nowhere.invalid:6379/0")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, guard.AWAITED)
    try:
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        assert guard.own_fault() == ""
        assert signal.sigtimedwait(guard.AWAITED, 0)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_a_worker_that_beats(probe, beat):
    ended = probe("worker", KIT_BEAT_FILE=beat(1))
    assert (ended.returncode, ended.stdout) == (0, "")


def test_a_worker_without_a_beat(probe, tmp_path):
    ended = probe("worker", KIT_BEAT_FILE=str(tmp_path / "none"))
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "worker: no beat yet\n", "")


def test_a_worker_whose_beat_is_stale_though_the_broker_answers(probe, beat):
    ended = probe("worker", KIT_BEAT_FILE=beat(100))
    assert (ended.returncode, ended.stderr) == (1, "")
    assert re.fullmatch(r"worker: last beat 1\d\d s ago\n", ended.stdout)


def test_a_beating_worker_whose_password_is_refused(probe, beat, wrong_password):
    ended = probe("worker", KIT_BEAT_FILE=beat(1), KIT_BROKER_PASSWORD_FILE=wrong_password)
    assert ended.returncode == 1
    assert "WRONGPASS" in ended.stdout


def test_a_beating_worker_whose_broker_is_frozen_is_not_judged(probe, beat, frozen):
    ended = probe("worker", KIT_BEAT_FILE=beat(1))
    assert (ended.returncode, ended.stdout.strip()) == (0, "broker: timed out")
