"""Runs in: stack tests; one instance stopped and killed, and what stays readable (E6, E12, task logs)."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import psutil

from tests.stack.harness.processes import alive, process_tree
from tests.stack.harness.stack import Stack
from tests.stack.harness.wait import wait_for


def test_a_stopped_worker_finishes_its_task_first(stack: Stack) -> None:
    stack.wait_ready()
    run_id = stack.start_dag("slow", {"seconds": 170})
    running = stack.wait_task("slow", run_id, "count", ["running"])
    old = psutil.Process(stack.instance("airflow-worker-1")["pid"])
    with ThreadPoolExecutor(1) as background:
        stopped = background.submit(stack.kit, "stop", "airflow-worker-1")
        time.sleep(5)
        assert alive(old) and not stopped.done(), "it waits for the task"
        stack.release(run_id)
        stopped.result()
    assert not alive(old)
    ended = stack.task("slow", run_id, "count")
    assert (ended["state"], ended["try_number"]) == ("success", running["try_number"])
    stack.make("up")


def test_a_log_is_readable_while_the_task_runs_and_after_its_worker_was_killed(stack: Stack) -> None:
    stack.wait_ready()
    run_id = stack.start_dag("slow", {"seconds": 120})
    stack.wait_task("slow", run_id, "count", ["running"])
    wait_for("a line of the running task", lambda: "counted to 2" in stack.task_log("slow", run_id, "count"), 60)
    assert stack.task("slow", run_id, "count")["state"] == "running"

    top = stack.instance("airflow-worker-1")["pid"]
    tree = process_tree(top)
    # Guard, main process, pool child, task process; in a container its init comes first.
    assert depth(top) == (5 if stack.runtime == "compose" else 4), tree
    stack.kit("kill", "airflow-worker-1")
    wait_for("the whole tree to be gone", lambda: not any(map(alive, tree)), 10, lambda: tree)
    another = lambda: (one := stack.instance("airflow-worker-1")).get("pid") not in (None, top) and one["healthy"]  # noqa: E731
    wait_for("a new worker", another, 120)

    assert "counted to 2" in stack.task_log("slow", run_id, "count")
    stack.api.patch(f"/dags/slow/dagRuns/{run_id}", {"state": "failed"})
    stack.wait_ready()
    assert stack.run_dag("slow", {"seconds": 0})["state"] == "success"


def test_what_a_worker_leaves_whose_main_process_died_alone_is_ended(stack: Stack) -> None:
    top = stack.instance("airflow-worker-1")["pid"]
    tree = process_tree(top)
    assert len(tree) > 1
    os.kill(top, signal.SIGKILL)
    another = lambda: (one := stack.instance("airflow-worker-1")).get("pid") not in (None, top) and one["healthy"]  # noqa: E731
    left = lambda: [command for process, command in tree.items() if alive(process)]  # noqa: E731
    wait_for("the end of what it left", lambda: not left(), 10, left)
    wait_for("a new worker", another, 120)
    stack.wait_ready()


def depth(pid: int) -> int:
    """Return how many generations a process tree has."""
    return 1 + max((depth(child.pid) for child in psutil.Process(pid).children()), default=0)


def test_stop_and_kill_name_what_there_is(stack: Stack) -> None:
    for verb in ("stop", "kill"):
        ended = stack.kit(verb, "airflow-nothing", check=False)
        assert ended.returncode == 2
        assert "airflow-worker-1" in ended.stderr and len(ended.stderr.strip().splitlines()) == 1
