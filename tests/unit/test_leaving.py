"""What is said of instances that have not stopped yet."""

import pytest

from airflow_celery_kit.runtimes import leaving

# Process to parent: guard 10, main 20, pool processes 30 to 32, tasks 40 and 41, what a task started 50.
TREE = {10: 1, 20: 10, 30: 20, 31: 20, 32: 20, 40: 30, 41: 31, 50: 40}


@pytest.mark.parametrize(
    ("gone", "count"), [(set(), 2), ({50}, 2), ({40, 50}, 1), ({40, 41, 50}, 0), ({20, 30, 31, 32, 40, 41, 50}, 0)]
)
def test_a_pool_process_with_a_child_runs_a_task(gone, count):
    parents = {pid: parent for pid, parent in TREE.items() if pid not in gone}
    assert leaving.running_tasks(parents, {10}) == count


def test_a_number_that_is_not_known_is_not_told():
    left = {"airflow-worker-1": 2, "airflow-worker-2": 1, "airflow-worker-3": 0, "valkey-1": None}
    assert (
        leaving.told("stopping", left)
        == "stopping: airflow-worker-1 (2 tasks), airflow-worker-2 (1 task), airflow-worker-3 (0 tasks), valkey-1"
    )
