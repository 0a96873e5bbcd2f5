"""Runs in: stack tests; a stack that was just started (E1, E2, E4, E10, R1)."""

from airflow_celery_kit.scheduler import wake
from tests.stack.harness.stack import Stack
from tests.stack.harness.wait import wait_for

EXPECTED = {
    "airflow-apiserver-1",
    "airflow-controller-1",
    "airflow-dag-processor-1",
    "airflow-flower-1",
    "airflow-scheduler-1",
    "airflow-triggerer-1",
    "airflow-worker-1",
    "airflow-worker-heavy-1",
    "postgres-1",
    "valkey-1",
}


def test_every_part_runs_and_a_worker_is_registered_for_each_queue(stack: Stack) -> None:
    seen = stack.wait_ready()
    beside = {"prometheus-1"} if stack.runtime == "compose" else set()
    assert {one["instance"] for one in seen["services"]} == EXPECTED | beside
    assert all(one["state"] == "running" and one["healthy"] and one["pid"] for one in seen["services"])
    assert sorted((worker["queues"], worker["slots"]) for worker in seen["workers"]) == [
        (["default", "fast_tasks"], 4),
        (["heavy", "heavy_tasks"], 1),
    ]


def test_up_is_safe_to_call_again(stack: Stack) -> None:
    before = {one["instance"]: one["pid"] for one in stack.instances()}
    stack.make("up")
    assert {one["instance"]: one["pid"] for one in stack.instances()} == before


def test_without_a_worker_the_stack_is_not_ready_and_says_why(stack: Stack) -> None:
    for name in ("airflow-worker-1", "airflow-worker-heavy-1"):
        stack.kit("stop", name)
    seen = wait_for("no registered worker", lambda: (one := stack.status()) and not one["workers"] and one, 60)
    assert not seen["ready"]
    assert any("no worker is registered" in reason for reason in seen["reasons"])
    assert stack.kit("status", check=False).returncode == 6
    stack.make("up")
    assert stack.status()["ready"]


def test_doctor_finds_nothing_wrong(stack: Stack) -> None:
    findings = stack.kit_json("doctor")
    assert [finding for finding in findings if not finding["fine"]] == []


def test_airflow_command_line_runs_inside_the_stack(stack: Stack) -> None:
    assert stack.kit("airflow", "--", "version").stdout.strip().endswith("3.3.2")
    assert stack.kit("airflow", "--", "no-such-command", check=False).returncode != 0


def test_executor_is_celery_with_the_broker_and_result_database_of_the_specification(stack: Stack) -> None:
    code = (
        "from airflow.configuration import conf;"
        "print(conf.get('core','executor'), conf.get('celery','broker_url'), conf.get('celery','result_backend'))"
    )
    executor, broker, results = stack.inside("airflow-scheduler-1", code).stdout.split()[-3:]
    assert executor == "CeleryExecutor"
    if stack.runtime == "compose":
        assert broker == "redis://valkey:6379/0"
        assert results == "db+postgresql://celery@postgres:5432/celery"
    assert results.startswith("db+postgresql://celery@") and "redis://" in broker


def test_concurrency_is_what_the_knobs_say(stack: Stack) -> None:
    settings = stack.settings
    code = (
        "from airflow.configuration import conf;"
        "print(conf.get('core','parallelism'), conf.get('core','max_active_tasks_per_dag'), conf.get('core','max_active_runs_per_dag'))"
    )
    seen = stack.inside("airflow-scheduler-1", code).stdout.split()[-3:]
    assert seen == [settings["PARALLELISM"], settings["MAX_ACTIVE_TASKS_PER_DAG"], settings["MAX_ACTIVE_RUNS_PER_DAG"]]
    code = (
        "from airflow.sdk.bases.operator import DEFAULT_RETRIES, DEFAULT_TASK_EXECUTION_TIMEOUT;"
        "print(DEFAULT_RETRIES, int(DEFAULT_TASK_EXECUTION_TIMEOUT.total_seconds()))"
    )
    seen = stack.inside("airflow-worker-1", code).stdout.split()[-2:]
    assert seen == [settings["TASK_RETRIES"], settings["TASK_TIMEOUT"]]
    slots = {worker["queues"][0]: worker["slots"] for worker in stack.wait_ready()["workers"]}
    assert slots == {
        "default": settings.number("WORKER_CONCURRENCY"),
        "heavy": settings.number("HEAVY_WORKER_CONCURRENCY"),
    }


def test_the_changes_inside_airflow_are_in_place(stack: Stack) -> None:
    stack.run_dag("slow", {"seconds": 0})
    (listening,) = stack.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'kit wake' AND query LIKE '%%next_dagrun%%'"
    )
    assert listening == (1,)
    triggers = "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'kit_wake' AND tgenabled = 'O' ORDER BY 1"
    assert {table for (table,) in stack.sql(triggers, database="airflow")} == set(wake.TABLES)
    for name in ("airflow-apiserver-1", "airflow-scheduler-1", "airflow-dag-processor-1", "airflow-worker-1"):
        said = stack.kit("logs", name, "--lines", "5000").stdout
        assert "Airflow's own way stays" not in said
        assert "each fork loads for itself" not in said
