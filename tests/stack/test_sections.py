"""Runs in: stack tests; a task that goes on where it stopped, and one that kills what runs it (F12, A5, A6)."""

from typing import Any

from tests.stack.harness.stack import Stack, file_name
from tests.stack.harness.wait import wait_for


def receipts(stack: Stack, run: str) -> list[str]:
    """What the tasks of a run left behind."""
    path = stack.output / "steps" / file_name(run)
    return path.read_text().splitlines() if path.is_file() else []


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


def test_what_kills_its_process_again_and_again_is_set_aside_and_says_so(stack: Stack) -> None:
    stack.wait_ready()
    run = stack.start_dag("poison")
    assert stack.wait_run("poison", run) == "failed"
    assert receipts(stack, run) == ["jumps", "jumps"], "it was run as often as it may, of five retries"
    found = wait_for("its record", lambda: explained(stack, run), 20)
    assert "the cliff was begun 2 times" in found["error"]
    wait_for("its word", lambda: {"poisonous", "failed"} <= set(kinds(stack, found["id"])), 20)


def explained(stack: Stack, run: str) -> dict[str, Any] | None:
    """The failed task of a run, once its worker's word on why has arrived beside Airflow's on that."""
    failed = stack.api.kit("/tasks", run_id=run, status="FAILURE")["tasks"]
    return next((one for one in failed if one["error"]), None)


def kinds(stack: Stack, id: str) -> list[str]:
    """What happened to an attempt, in order."""
    return [one["kind"] for one in stack.api.kit(f"/tasks/{id}/events")["events"]]
