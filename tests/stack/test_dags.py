"""Runs in: stack tests; the Dags of the checkout, on workers (E10, E21, F13)."""

import csv
import io

import pytest

from tests.stack.harness.stack import Stack

HELLO = """
from airflow.sdk import dag, task

@dag(schedule=None)
def brand_new():
    @task
    def greet():
        return "hello"
    greet()

brand_new()
"""


def test_a_new_file_appears_and_runs(stack: Stack) -> None:
    (stack.root / "dags" / "brand_new.py").write_text(HELLO)
    stack.wait_dag("brand_new", seconds=30)
    result = stack.run_dag("brand_new")
    assert result["state"] == "success"
    assert result["tasks"][0]["hostname"] in stack.worker_names()


def test_installed_distributions_are_measured_on_workers(stack: Stack) -> None:
    result = stack.run_dag("installed_distributions")
    assert result["state"] == "success"
    mapped = [task for task in result["tasks"] if task["task_id"] == "measure"]
    assert len(mapped) == 12
    assert {task["hostname"] for task in result["tasks"]} <= stack.worker_names()
    report = newest_report(stack)
    rows = list(csv.DictReader(io.StringIO((report / "distributions.csv").read_text())))
    airflow = next(row for row in rows if row["name"] == "apache-airflow-core")
    assert airflow["version"] == "3.3.2" and int(airflow["files"]) > 500 and len(airflow["sha256"]) == 64
    assert (report / "largest.png").read_bytes().startswith(b"\x89PNG")


def newest_report(stack: Stack):
    folders = [path.parent for path in (stack.root / "var" / "output").glob("*/largest.png")]
    return max(folders, key=lambda path: path.stat().st_mtime)


def test_chains_run_in_order(stack: Stack) -> None:
    result = stack.run_dag("chains")
    assert result["state"] == "success" and len(result["tasks"]) == 20
    ended = {task["task_id"]: task for task in result["tasks"]}
    for task_id, task in ended.items():
        chain, _, step = task_id.partition(".step_")
        if step != "1":
            assert task["start_date"] >= ended[f"{chain}.step_{int(step) - 1}"]["end_date"]


@pytest.mark.once
def test_a_task_weighs_more_the_nearer_it_is_to_its_workflow_s_end(stack: Stack) -> None:
    run = stack.run_dag("chains")
    weights = [
        stack.task("chains", run["run_id"], f"chain_1.step_{number}")["priority_weight"] for number in range(1, 6)
    ]
    assert weights == [16, 32, 64, 128, 256]


@pytest.mark.once
def test_branching_skips_the_other_side(stack: Stack) -> None:
    result = stack.run_dag("branching", {"size": 5000})
    states = {task["task_id"]: task["state"] for task in result["tasks"]}
    assert result["state"] == "success"
    assert sorted(states.values()).count("skipped") == 1 and states["join"] == "success"


def test_a_heavy_task_runs_on_the_heavy_worker_only(stack: Stack) -> None:
    result = stack.run_dag("heavy_queue")
    assert result["state"] == "success"
    for task in result["tasks"]:
        on_heavy = "airflow-worker-heavy" in task["hostname"]
        assert on_heavy == (task["queue"] == "heavy"), task
    assert sum(task["queue"] == "heavy" for task in result["tasks"]) == 1


def test_queues_of_any_name_have_the_workers_that_the_knobs_say(stack: Stack) -> None:
    result = stack.run_dag("named_queues")
    assert result["state"] == "success"
    workers = {task["queue"]: task["hostname"].rpartition("-")[0] for task in result["tasks"]}
    assert workers.keys() == {"fast_tasks", "heavy_tasks"}
    assert "airflow-worker-heavy" in workers["heavy_tasks"] and "heavy" not in workers["fast_tasks"]


@pytest.mark.once
def test_run_wait_tells_success_from_failure(stack: Stack) -> None:
    (stack.root / "dags" / "failing.py").write_text(
        HELLO.replace("brand_new", "failing")
        .replace("@task", "@task(retries=0)")
        .replace('return "hello"', "raise ValueError(1)")
    )
    stack.wait_dag("failing")
    ended = stack.kit("run", "failing", "--wait", check=False)
    assert ended.returncode == 7
    assert "failed: greet" in ended.stderr


@pytest.mark.once
def test_an_unknown_dag_is_one_line_and_changes_nothing(stack: Stack) -> None:
    before = stack.api.get("/dags/~/dagRuns", limit=1)["total_entries"]
    ended = stack.kit("run", "no_such_dag", check=False)
    assert ended.returncode == 2
    assert len(ended.stderr.strip().splitlines()) == 1 and "no Dag 'no_such_dag'" in ended.stderr
    assert stack.api.get("/dags/~/dagRuns", limit=1)["total_entries"] == before


@pytest.mark.once
def test_a_deferred_task_comes_back_to_a_worker(stack: Stack) -> None:
    source = (
        "from datetime import timedelta\n"
        "from airflow.sdk import dag\n"
        "from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor\n"
        "@dag(schedule=None)\ndef deferring():\n"
        "    TimeDeltaSensor(task_id='nap', delta=timedelta(seconds=5), deferrable=True)\n"
        "deferring()\n"
    )
    (stack.root / "dags" / "deferring.py").write_text(source)
    run_id = stack.start_dag("deferring")
    assert stack.wait_run("deferring", run_id) == "success"
    assert "DEFERRED" in stack.task_log("deferring", run_id, "nap")
