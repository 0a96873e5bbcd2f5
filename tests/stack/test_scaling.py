"""Runs in: stack tests; more workers and fewer again, under load (E5, E11, E12)."""

from tests.stack.harness.stack import Stack
from tests.stack.harness.wait import wait_for


def scale_up(stack: Stack, workers: int) -> None:
    """Scale as the README says for each runtime."""
    if stack.runtime == "compose":
        stack.call(["docker", "compose", "up", "--scale", f"airflow-worker={workers}", "-d"])
    else:
        stack.kit("scale", str(workers))


def flower_workers(stack: Stack) -> set[str]:
    """Return the default pool's workers that Flower shows as online."""
    with stack.flower() as client:
        shown = client.get("/api/workers", params={"status": "1"}).json()
    return {name.removeprefix("celery@") for name, online in shown.items() if online and "heavy" not in name}


def test_three_workers_take_tasks_and_going_back_to_one_loses_none(stack: Stack) -> None:
    stack.wait_ready()
    before = {one["instance"]: one["pid"] for one in stack.instances()}
    scale_up(stack, 3)
    names = wait_for("three workers in Flower", lambda: len(found := flower_workers(stack)) == 3 and found, 90)
    after = {one["instance"]: one["pid"] for one in stack.instances()}
    assert {name: after[name] for name in before} == before, "scaling must restart nothing else"

    fan_out = stack.run_dag("wide", {"tasks": 24, "seconds": 1})
    assert fan_out["state"] == "success"
    assert {task["hostname"] for task in fan_out["tasks"]} == names == stack.worker_names()

    run_id = stack.start_dag("wide", {"tasks": 24, "seconds": 4})
    wait_for("tasks on all three", lambda: len(busy(stack, run_id)) == 3, 60, lambda: busy(stack, run_id))
    stack.kit("scale", "1")
    assert stack.wait_run("wide", run_id) == "success"
    tasks = stack.api.get(f"/dags/wide/dagRuns/{run_id}/taskInstances", limit=100)["task_instances"]
    assert {(task["state"], task["try_number"]) for task in tasks} == {("success", 1)}
    assert len(flower_workers(stack)) == 1
    last = {one["instance"]: one["pid"] for one in stack.instances()}
    assert last == before, "the first worker and everything else ran through"


def busy(stack: Stack, run_id: str) -> set[str]:
    """Return the workers that run tasks of a run now."""
    tasks = stack.api.get(f"/dags/wide/dagRuns/{run_id}/taskInstances", limit=100, state="running")["task_instances"]
    return {task["hostname"] for task in tasks}
