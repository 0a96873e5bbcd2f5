"""Services log for whom it may concern: people, a collector, or systemd's journal, which a real datagram socket stands for here."""

import array
import json
import os
import socket
import struct
import subprocess
import sys

import pytest
from logging_journald import JournaldTransport

from airflow_celery_kit import service_log
from airflow_celery_kit.controller.main import say as controller_says
from airflow_celery_kit.core.log_lines import begins
from airflow_celery_kit.service_log import Form, form
from airflow_celery_kit.worker.start_steps import say as guard_says

TRACE = "Traceback\n  File 'a'\nPRIORITY=0\nValueError"


def stream(descriptor: int) -> str:
    """What systemd calls a stream in JOURNAL_STREAM."""
    found = os.fstat(descriptor)
    return f"{found.st_dev}:{found.st_ino}"


def unpacked(data: bytes) -> dict[str, str]:
    """The fields of one message of the journal's native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL)."""
    found = {}
    while data:
        head, _, rest = data.partition(b"\n")
        if b"=" in head:
            name, _, value = head.partition(b"=")
        else:
            name, (size,) = head, struct.unpack("<Q", rest[:8])
            value, rest = rest[8 : 8 + size], rest[8 + size + 1 :]
        assert name.decode() not in found, name
        found[name.decode()], data = value.decode(), rest
    return found


@pytest.fixture
def journal(tmp_path, monkeypatch):
    """A socket where journald's is, named by this process's stderr."""
    monkeypatch.setattr(JournaldTransport, "SOCKET_PATH", tmp_path / "socket")
    monkeypatch.setenv("JOURNAL_STREAM", stream(2))
    monkeypatch.setenv("KIT_LOG_JSON", "auto")
    monkeypatch.setenv("KIT_INSTANCE", "airflow-controller-2")
    service_log._journal.cache_clear()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "socket"))
        server.settimeout(5)
        yield server
    service_log._journal.cache_clear()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Form.PLAIN),
        ({"KIT_LOG_JSON": ""}, Form.PLAIN),
        ({"KIT_LOG_JSON": "auto", "JOURNAL_STREAM": "1:2"}, Form.PLAIN),
        ({"KIT_LOG_JSON": "auto", "JOURNAL_STREAM": "none"}, Form.PLAIN),
        ({"KIT_LOG_JSON": "auto", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}, Form.JSON),
        ({"KIT_LOG_JSON": "false", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}, Form.PLAIN),
        ({"KIT_LOG_JSON": "auto", "JOURNAL_STREAM": "here"}, Form.JOURNALD),
        ({"KIT_LOG_JSON": "auto", "JOURNAL_STREAM": "here", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}, Form.JOURNALD),
        ({"KIT_LOG_JSON": "true", "JOURNAL_STREAM": "here"}, Form.JSON),
        ({"KIT_LOG_JSON": "false", "JOURNAL_STREAM": "here"}, Form.PLAIN),
    ],
)
def test_the_form_is_found_by_who_takes_the_lines(tmp_path, environment, expected):
    with (tmp_path / "stream").open("w") as file:
        here = {name: stream(file.fileno()) if value == "here" else value for name, value in environment.items()}
        assert form(here, file.fileno()) == expected


FORM = "import os; from airflow_celery_kit.service_log import form; print(form(os.environ))"


def test_a_child_whose_stderr_goes_elsewhere_is_not_heard_by_the_journal():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        environment = os.environ | {"JOURNAL_STREAM": stream(theirs.fileno()), "KIT_LOG_JSON": "auto"}
        run = lambda stderr: subprocess.run(  # noqa: E731
            [sys.executable, "-c", FORM], env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True, check=True, timeout=30
        ).stdout.strip()  # fmt: skip
        assert (run(theirs.fileno()), run(subprocess.PIPE)) == ("journald", "plain")


def test_the_journal_gets_fields(journal, capsys):
    names = {"dag_id": "sales", "run_id": "r/1", "task_id": "load"}
    controller_says("requeue", level="warning", message="m-1", reason=TRACE, found=[1], **names)
    found = unpacked(journal.recv(65536))
    assert found.pop("SYSLOG_PID") == str(os.getpid())
    assert found == {
        "MESSAGE": f"requeue message=m-1 reason={TRACE} found=[1] dag_id=sales run_id=r/1 task_id=load",
        "PRIORITY": "4", "SYSLOG_IDENTIFIER": "airflow-celery-kit-controller", "KIT_INSTANCE": "airflow-controller-2", "KIT_EVENT": "requeue",
        "KIT_LEVEL": "warning", "KIT_MESSAGE": "m-1", "KIT_REASON": TRACE, "KIT_FOUND": "[1]", "DAG_ID": "sales", "RUN_ID": "r/1", "TASK_ID": "load",
    }  # fmt: skip
    guard_says("the worker waits: broker")
    found = unpacked(journal.recv(65536))
    assert (found["MESSAGE"], found["PRIORITY"]) == ("the worker waits: broker", "6")
    assert capsys.readouterr() == ("", "")


def test_no_fact_passes_for_a_field_of_another_name(journal):
    controller_says("moved", **{"a\nPRIORITY": "0", "_UID": "0", "b=c": {"d\nMESSAGE": "x"}, "é" * 99: "\ud800"})
    found = unpacked(journal.recv(65536))
    assert found["PRIORITY"] == "6" and found["KIT_A_PRIORITY"] == "0" and "_UID" not in found
    assert found["KIT_B_C"] == '{"d\\nMESSAGE": "x"}' and max(map(len, found)) <= 64


def test_a_line_that_no_datagram_holds_is_handed_over_as_a_file(journal):
    controller_says("fails", reason="x" * 5_000_000)
    _, ancillary, _, _ = journal.recvmsg(1, socket.CMSG_LEN(4))
    (handle,) = array.array("i", ancillary[0][2])
    with os.fdopen(handle, "rb") as file:
        file.seek(0)
        assert len(unpacked(file.read())["KIT_REASON"]) == 5_000_000


def test_what_the_journal_does_not_take_is_printed_and_a_new_journal_is_found(journal, tmp_path, capsys):
    controller_says("leads")
    journal.recv(65536)
    (tmp_path / "socket").unlink()
    controller_says("blind", reason="away")
    printed = json.loads(capsys.readouterr().out)
    assert (printed["event"], printed["controller"], printed["reason"]) == ("blind", "airflow-controller-2", "away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as another:
        another.bind(str(tmp_path / "socket"))
        another.settimeout(5)
        controller_says("leads")
        assert unpacked(another.recv(65536))["KIT_EVENT"] == "leads"


@pytest.mark.parametrize(("said", "starts"), [("false", "2"), ("true", "{")])
def test_a_guard_s_line_is_for_people_or_json_and_kit_logs_reads_both(monkeypatch, capsys, said, starts):
    monkeypatch.setenv("KIT_LOG_JSON", said)
    guard_says("the worker waits: broker")
    line = capsys.readouterr().err
    assert line.startswith(starts) and "the worker waits: broker" in begins(line.strip(), None)[2]


@pytest.mark.parametrize(("said", "expected"), [("auto", "False"), ("true", "True"), ("false", "False")])
def test_airflow_is_told_whether_to_write_json(said, expected):
    assert service_log.for_airflow({"KIT_LOG_JSON": said}) == {"AIRFLOW__LOGGING__JSON_LOGS": expected}
