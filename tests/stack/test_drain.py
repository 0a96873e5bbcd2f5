"""Runs in: stack tests; workers that are taken out and brought back (E6, E12)."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.stack.harness.processes import alive, process_tree
from tests.stack.harness.stack import Stack
from tests.stack.harness.wait import wait_for

WORKER = "airflow-worker-1"
# Longer than anything takes before the task is released, however slow the machine.
HELD = 280


@pytest.fixture(autouse=True)
def back(stack: Stack) -> Iterator[None]:
    """Bring back the workers that a failed test left drained."""
    yield
    stack.kit("resume")
    stack.kit("workers", "resume", WORKER, check=False)


def test_a_drained_worker_finishes_its_task_takes_no_other_and_comes_back(stack: Stack) -> None:
    first, running = start_running(stack)
    tree = process_tree(stack.instance(WORKER)["pid"])
    draining = start_drain(stack, "airflow-worker")
    wait_for("the worker to leave the broker", lambda: running["hostname"] not in stack.registered(), 60)
    second = stack.start_dag("slow", {"seconds": 0})
    stack.wait_task("slow", second, "count", ["queued"])
    assert draining.poll() is None, "the drain waits for the running task"
    stack.release(first)

    out, said = draining.communicate(timeout=90)
    assert (draining.returncode, out) == (
        0,
        f"Drained and stopped: {WORKER}. To bring back what is stopped: 'kit resume'.\n",
    ), said
    assert f"stopping: {WORKER} (1 task)" in said
    assert finished(stack, first, running)
    assert [command for process, command in tree.items() if alive(process)] == [], "it leaves nobody behind"
    assert stack.task("slow", second, "count")["state"] == "queued"
    seen = stack.status()
    assert not seen["ready"] and f"{WORKER} is stopped: 'kit resume' starts it" in seen["reasons"]
    assert stack.kit_json("drain", WORKER)["reasons"] == seen["reasons"], "a second time changes nothing"

    assert stack.kit("resume", WORKER).stdout == f"Healthy and registered: {WORKER}.\n"
    assert stack.wait_run("slow", second) == "success"
    task = stack.task("slow", second, "count")
    assert (task["hostname"], task["try_number"]) == (running["hostname"], 1)
    pid = stack.instance(WORKER)["pid"]
    assert stack.kit_json("resume")["ready"]
    assert stack.instance(WORKER)["pid"] == pid, "a worker that runs is left alone"


@pytest.mark.once
def test_an_interrupted_drain_goes_on_and_resume_waits_for_it(stack: Stack) -> None:
    first, running = start_running(stack)
    before = pids(stack)
    draining = start_drain(stack)
    wait_for("the worker to leave the broker", lambda: running["hostname"] not in stack.registered(), 60)
    os.killpg(draining.pid, signal.SIGINT)
    out, said = draining.communicate(timeout=15)
    assert (draining.returncode, out) == (130, "")
    assert said.splitlines()[-1].startswith("kit: interrupted; workers that were told to leave finish their tasks")
    assert stack.task("slow", first, "count")["state"] == "running"

    with ThreadPoolExecutor(1) as background:
        resumed = background.submit(stack.kit, "resume")
        time.sleep(5)
        assert not resumed.done(), "it waits for the worker that leaves"
        stack.release(first)
        resumed.result()
    assert finished(stack, first, running)
    after = pids(stack)
    assert {name for name in before if before[name] != after[name]} == {WORKER, "airflow-worker-heavy-1"}
    assert stack.run_dag("slow", {"seconds": 0})["state"] == "success"


@pytest.mark.once
def test_what_is_no_worker_is_neither_drained_nor_resumed(stack: Stack) -> None:
    stack.wait_ready()
    before = pids(stack)
    for verb in ("drain", "resume"):
        ended = stack.kit(verb, WORKER, "valkey", check=False)
        assert ended.returncode == 2
        (line,) = ended.stderr.splitlines()
        assert f"valkey is no worker: name one of {WORKER}" in line
    assert pids(stack) == before


@pytest.mark.once
def test_scaling_brings_a_drained_worker_back(stack: Stack) -> None:
    stack.kit("drain", WORKER)
    assert stack.instance(WORKER)["state"] == "stopped"
    stack.kit("scale", "1")
    assert stack.instance(WORKER)["healthy"]


def test_a_worker_rests_where_it_is_also_after_a_new_start_until_it_is_resumed(stack: Stack) -> None:
    stack.wait_ready()
    listed = lambda: {one["name"]: one for one in stack.kit_json("workers", "list")["workers"]}  # noqa: E731
    (name,) = [name for name, one in listed().items() if "default" in one["queues"]]
    state = lambda: listed().get(name, {}).get("state")  # noqa: E731
    first, _ = start_running(stack)
    stack.kit("workers", "drain", name)
    wait_for("the worker to heed it", lambda: state() == "draining", 20, state)
    second = stack.start_dag("slow", {"seconds": 0})
    stack.release(first)
    assert stack.wait_run("slow", first) == "success"
    wait_for("the worker to rest", lambda: state() == "drained", 20, state)
    stack.wait_task("slow", second, "count", ["queued"])
    shown = lambda: stack.kit("status").stdout  # noqa: E731
    wait_for("status to say who rests", lambda: f"takes no task: 'kit workers resume {name}'" in shown(), 20, shown)
    wait_for("status to say what stands", lambda: "nobody takes its tasks: 'kit workers list'" in shown(), 20, shown)

    before = stack.instance(WORKER)["pid"]
    stack.kit("kill", WORKER)
    wait_for("another process of it", lambda: (stack.instance(WORKER)["pid"] or before) != before, 60)
    wait_for("its report", lambda: state() == "drained" and stack.instance(WORKER)["healthy"], 60, state)
    assert stack.task("slow", second, "count")["state"] == "queued"
    assert stack.kit("workers", "drain", name, check=False).returncode == 2
    stack.kit("workers", "resume", name)
    assert stack.wait_run("slow", second) == "success"
    assert stack.task("slow", second, "count")["try_number"] == 1
    wait_for("the worker's word", lambda: state() == "working", 20, state)


def start_running(stack: Stack) -> tuple[str, dict]:
    """Start a task that runs until it is released; return its run and what Airflow says once it runs."""
    stack.wait_ready()
    run_id = stack.start_dag("slow", {"seconds": HELD})
    return run_id, stack.wait_task("slow", run_id, "count", ["running"])


def start_drain(stack: Stack, *named: str) -> subprocess.Popen[str]:
    """Begin to drain workers as from a terminal, in a process group of its own; background jobs ignore what Ctrl-C sends."""
    return subprocess.Popen(
        ["env", "--default-signal=INT", ".venv/bin/kit", "drain", *named], cwd=stack.root, env=stack.environment, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finished(stack: Stack, run_id: str, running: dict) -> bool:
    """Return whether a task ended well where it ran, at the same try."""
    task = stack.task("slow", run_id, "count")
    return all(task[key] == running[key] for key in ("hostname", "try_number")) and task["state"] == "success"


def pids(stack: Stack) -> dict[str, int]:
    """Return the process of each part."""
    return {one["instance"]: one["pid"] for one in stack.instances()}
