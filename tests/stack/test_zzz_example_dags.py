"""Runs in: stack tests, last on a stack; Airflow's own example Dags, which nobody here wrote, all of their tasks on workers.

The README's commands have left the stack down. It comes up with the examples for this alone: to read them takes a fifth of two cores.
"""

import pytest

from airflow_celery_kit import env_file
from tests.stack.harness.stack import Stack

# Airflow's examples that need no outside service and no input, and whose tasks all go to a worker.
EXAMPLES = (
    "example_dynamic_task_mapping",
    "example_dynamic_task_mapping_with_no_taskflow_operators",
    "example_measurement_correction_decorator",
    "example_setup_teardown",
    "example_setup_teardown_taskflow",
    "example_simplest_dag",
    "example_task_group_mapping",
    "example_task_mapping_second_order",
    "example_xcom_args",
    "tutorial_dag",
    "tutorial_taskflow_api",
)


@pytest.mark.once
@pytest.mark.last
def test_example_dags_are_green_and_run_on_workers(stack: Stack) -> None:
    env_file.record(stack.settings, {"LOAD_EXAMPLES": "true"})
    stack.make("up")
    for dag_id in EXAMPLES:
        stack.wait_dag(dag_id, 180)
    runs = {dag_id: stack.start_dag(dag_id) for dag_id in EXAMPLES}
    states = {dag_id: stack.wait_run(dag_id, run_id, 300) for dag_id, run_id in runs.items()}
    assert states == dict.fromkeys(EXAMPLES, "success")
    workers = stack.worker_names()
    for dag_id, run_id in runs.items():
        tasks = stack.api.get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", limit=100)["task_instances"]
        assert tasks and {task["hostname"] for task in tasks} <= workers, dag_id
