"""Runs in: stack tests; tasks that go on where they stopped, that kill what runs them, that were done before, that heed nothing (F1, F12, A4-A6)."""

import time
from typing import Any

import pytest

from tests.stack.harness.stack import Stack, file_name
from tests.stack.harness.wait import wait_for

# The same code on both runtimes, and nothing of theirs.
EMBEDDED = pytest.mark.parametrize("stack", ["embedded"], indirect=True)


def receipts(stack: Stack, run: str) -> list[str]:
    """What the tasks of a run left behind."""
    path = stack.output / "steps" / file_name(run)
    return path.read_text().splitlines() if path.is_file() else []


@pytest.mark.once
def test_a_task_whose_worker_dies_goes_on_where_it_stopped(stack: Stack) -> None:
    stack.wait_ready()
    run = stack.start_dag("steps")
    wait_for("the fortieth step", lambda: "waits" in receipts(stack, run), 90, lambda: receipts(stack, run))
    where = stack.task("steps", run, "walk")["hostname"]
    (worker,) = [one["instance"] for one in stack.instances() if one["hostname"] == where]
    stack.kit("kill", worker)
    assert stack.wait_run("steps", run) == "success"
    assert stack.task("steps", run, "walk")["try_number"] == 2
    assert receipts(stack, run) == [*map(str, range(40)), "waits", *map(str, range(40, 60))]


@pytest.mark.once
def test_what_kills_its_process_again_and_again_is_set_aside_and_says_so(stack: Stack) -> None:
    stack.wait_ready()
    run = stack.start_dag("poison")
    assert stack.wait_run("poison", run) == "failed"
    assert receipts(stack, run) == ["jumps", "jumps"], "it was run as often as it may, of five retries"
    found = wait_for("its record", lambda: explained(stack, run), 20)
    assert "the cliff was begun 2 times" in found["error"]
    wait_for("its word", lambda: {"poisonous", "failed"} <= set(kinds(stack, found["id"])), 20)


@pytest.mark.once
def test_a_task_that_kills_what_runs_it_is_set_aside_and_runs_again_when_asked(stack: Stack) -> None:
    stack.wait_ready()
    run = stack.start_dag("killer")
    assert stack.wait_run("killer", run) == "failed"
    assert receipts(stack, run) == ["dies"] * 3, "three deaths of ten tries that it may have"
    found = wait_for("its record", lambda: explained(stack, run), 20)
    assert "set aside" in found["error"] and "killed 3 times" in found["error"]
    earlier = stack.api.kit("/tasks", run_id=run, status="RETRY")["tasks"]
    assert [deaths(stack, one["id"]) for one in earlier] == [["its process was killed by SIGKILL"]] * 3
    shown = stack.kit("tasks", "show", found["id"]).stdout
    assert "set aside" in shown and "controller" in shown
    stack.kit("tasks", "retry", found["id"])
    wait_for("it to run again", lambda: len(receipts(stack, run)) >= 4, 60, lambda: receipts(stack, run))
    assert stack.wait_run("killer", run) == "failed"
    assert receipts(stack, run) == ["dies"] * 6, "three more"


@EMBEDDED
def test_work_of_a_key_is_done_once(stack: Stack) -> None:
    stack.wait_ready()
    key = f"stack test {time.time()}"
    first = stack.start_dag("one_key", {"key": key, "seconds": 6})
    wait_for("the work to begin", lambda: receipts(stack, first) == ["works"], 60)
    second = stack.start_dag("one_key", {"key": key, "seconds": 6})
    assert {stack.wait_run("one_key", run) for run in (first, second)} == {"success"}
    made = f"made by {first}"
    assert (receipts(stack, first), receipts(stack, second)) == (["works", made], [made])
    (known,) = stack.api.kit("/tasks", run_id=second)["tasks"]
    wait_for("its word", lambda: "deduplicated" in kinds(stack, known["id"]), 20)


@EMBEDDED
def test_a_task_that_does_not_heed_its_timeout_is_ended(stack: Stack) -> None:
    stack.wait_ready()
    run = stack.start_dag("stubborn")
    assert stack.wait_run("stubborn", run) == "failed"
    assert "goes on" in receipts(stack, run), "Airflow's own timeout was there, and in vain"
    found = wait_for("its record", lambda: explained(stack, run, "TIMEOUT"), 20)
    assert "did not heed its timeout of" in found["error"]
    log = stack.task_log("stubborn", run, "heed_nothing")
    assert "Timeout (0:00:12" in log and "in heed_nothing" in log


def explained(stack: Stack, run: str, status: str = "FAILURE") -> dict[str, Any] | None:
    """The failed task of a run, once its worker's word on why has arrived beside Airflow's on that."""
    failed = stack.api.kit("/tasks", run_id=run, status=status)["tasks"]
    return next((one for one in failed if one["error"]), None)


def deaths(stack: Stack, id: str) -> list[str]:
    """What the worker said of an attempt's death."""
    events = stack.api.kit(f"/tasks/{id}/events")["events"]
    return [one["facts"]["error"] for one in events if (one["kind"], one["source"]) == ("lost", "worker")]


def kinds(stack: Stack, id: str) -> list[str]:
    """What happened to an attempt, in order."""
    return [one["kind"] for one in stack.api.kit(f"/tasks/{id}/events")["events"]]
