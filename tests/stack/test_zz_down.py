"""Runs in: stack tests, late on each stack; what a stack that is down says, and that data survives down and up."""

import socket

import psutil
import pytest

from tests.stack.harness.processes import alive
from tests.stack.harness.stack import Stack

NEED_A_STACK = (
    ["run", "wide"],
    ["scale", "2"],
    ["stop", "valkey-1"],
    ["kill", "airflow-worker-1"],
    ["airflow", "--", "version"],
)


def one_line(text: str, *words: str) -> bool:
    """Return whether `text` is one line that holds all `words`."""
    return len(text.strip().splitlines()) == 1 and all(word in text for word in words)


@pytest.mark.last
def test_history_survives_down_and_up_and_no_process_does(stack: Stack) -> None:
    stack.wait_ready()
    runs = stack.api.get("/dags/~/dagRuns", limit=1)["total_entries"]
    tops = [psutil.Process(one["pid"]) for one in stack.instances()]
    processes = [process for top in tops for process in (top, *top.children(recursive=True))]
    try:
        stack.make("down")
        assert_down(stack, processes)
    finally:
        stack.make("up")
    assert stack.api.get("/dags/~/dagRuns", limit=1)["total_entries"] == runs > 0
    assert stack.run_dag("wide", {"tasks": 2, "seconds": 0})["state"] == "success"


def assert_down(stack: Stack, processes: list[psutil.Process]) -> None:
    """A stack that is down left no process and says so, in one line, to whoever needs it."""
    assert [process for process in processes if alive(process)] == []
    assert stack.kit("status", check=False).returncode == 5
    for command in NEED_A_STACK:
        ended = stack.kit(*command, check=False)
        assert ended.returncode == 5 and one_line(ended.stderr, "kit up"), (command, ended.stderr)
    refuse_or_move_a_taken_port(stack)


@pytest.mark.last
def test_a_supervisor_that_died_is_noticed_and_what_it_left_is_ended(stack: Stack) -> None:
    if stack.runtime == "compose":
        pytest.skip("the engine supervises there, and is not the test's to kill")
    supervisor = psutil.Process(int((stack.root / "var/run/supervisord.pid").read_text()))
    left = supervisor.children(recursive=True)
    supervisor.kill()
    supervisor.wait(10)
    assert sum(map(alive, left)) > 9, "they outlive their supervisor"
    seen = stack.status()
    assert not seen["ready"]
    assert "'kit up' or 'kit down' ends them" in str(seen["reasons"] + seen["services"])
    stack.make("up")
    assert [child for child in left if alive(child)] == []
    assert stack.run_dag("wide", {"tasks": 2, "seconds": 0})["state"] == "success"


@pytest.mark.last
def test_a_changed_database_password_is_refused_with_the_cure_and_nothing_changes(stack: Stack) -> None:
    env = stack.root / ".env"
    before = env.read_text()
    env.write_text(before.replace(stack.settings["POSTGRES_PASSWORD"], "not-the-one-of-the-database"))
    try:
        ended = stack.kit("up", check=False)
    finally:
        env.write_text(before)
    assert ended.returncode == 3
    assert one_line(ended.stderr.strip().splitlines()[-1], "POSTGRES_PASSWORD", "put the one of secrets/env back")
    assert stack.wait_ready()


def refuse_or_move_a_taken_port(stack: Stack) -> None:
    """A port that somebody took meanwhile: Compose refuses, the embedded runtime moves and says so."""
    port = stack.settings.number("AIRFLOW_PORT")
    with socket.create_server(("127.0.0.1", port)):
        ended = stack.kit("up", check=False)
    if stack.runtime == "compose":
        assert ended.returncode == 4
        assert one_line(ended.stderr.strip().splitlines()[-1], f"port {port} is taken", "AIRFLOW_PORT")
        assert stack.kit("status", check=False).returncode == 5
    else:
        assert f"port {port} is taken" in ended.stderr
        assert stack.settings.number("AIRFLOW_PORT") != port
        assert stack.status()["ready"]


@pytest.mark.last
def test_no_engine_is_one_line_and_changes_nothing(stack: Stack) -> None:
    environment = stack.environment | {"RUNTIME": "compose", "DOCKER_HOST": "unix:///nonexistent.sock"}
    ended = stack.call(
        ["env", *(f"{name}={value}" for name, value in environment.items()), ".venv/bin/kit", "status"], check=False
    )
    assert ended.returncode == 4
    assert one_line(ended.stderr, "no Docker engine answers", "RUNTIME=embedded")
