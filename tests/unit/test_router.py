"""What monitoring is shown in place of a message's arguments, for the workloads that Airflow really sends."""

import json
import statistics
import time
import uuid

import pytest

from airflow_celery_kit.scheduler import router
from airflow_celery_kit.scheduler.router import route, workload_of

TOKEN = "eyJhbGciOiJIUzUxMiJ9.secret-bearer-token.signature"
GARBAGE = [
    None, (), [], [None], [1], [b"\xff"], "x", [""], ["{"], ["[]"], ["null"], ["7"], ['"text"'], [{}], {}, 5,
    [object()], ['{"ti": 3}'], ['{"ti": {"dag_id": "d"}}'], ['{"ti": {"dag_id": "d", "run_id": "r", "map_index": "x"}}'],
]  # fmt: skip


def describe(args) -> str:
    """What is shown of a message with these arguments."""
    return router.describe(workload_of(args))


def message(**fields) -> list[str]:
    """The arguments of a message, made by Airflow's own workload class as its executor makes them."""
    from airflow.executors.workloads import BundleInfo, ExecuteTask, TaskInstanceDTO

    task = {
        "id": uuid.uuid4(), "dag_version_id": uuid.uuid4(), "task_id": "load", "dag_id": "sales", "run_id": "manual__1",
        "try_number": 1, "map_index": -1, "pool_slots": 1, "queue": "default", "priority_weight": 3,
    }  # fmt: skip
    workload = ExecuteTask(
        token=TOKEN,
        ti=TaskInstanceDTO.model_validate(task | fields),
        dag_rel_path="sales.py",
        bundle_info=BundleInfo(name="dags-folder"),
        log_path="dag_id=sales/attempt=1.log",
    )
    return [workload.model_dump_json()]


def test_a_task_is_shown_by_dag_run_and_task():
    assert describe(message()) == "sales/manual__1/load"


def test_a_mapped_task_carries_its_index():
    assert describe(message(map_index=0)) == "sales/manual__1/load[0]"
    assert describe(message(map_index=12)) == "sales/manual__1/load[12]"


def test_a_retry_carries_its_try():
    assert describe(message(try_number=3)) == "sales/manual__1/load#3"
    assert describe(message(try_number=2, map_index=4)) == "sales/manual__1/load[4]#2"


def test_names_in_any_script_are_kept():
    assert describe(message(dag_id="verkäufe", task_id="загрузка")) == "verkäufe/manual__1/загрузка"


def test_a_workload_without_a_task_is_shown_by_its_type():
    assert (
        describe([json.dumps({"type": "ExecuteCallback", "token": TOKEN, "callback": {"id": "7"}})])
        == "ExecuteCallback"
    )


@pytest.mark.parametrize("args", GARBAGE, ids=map(str, range(len(GARBAGE))))
def test_garbage_is_called_a_workload_and_never_raises(args):
    assert describe(args) == "workload"


def test_the_token_is_in_the_message_and_nowhere_in_what_is_shown():
    for args in (message(), message(map_index=1, try_number=2)):
        assert TOKEN in args[0]
        assert TOKEN not in str(route("execute_workload", args, {}, {"queue": "default"}))


def test_the_route_adds_the_priority_and_changes_what_is_shown():
    options = {"queue": "heavy", "task_id": "1"}
    routed = route("execute_workload", message(), {"token": TOKEN}, options, task=None, surprise=1)
    assert time.time() - routed.pop("headers")["kit_sent_at"] < 60
    assert routed == {"priority": 8, "argsrepr": "sales/manual__1/load", "kwargsrepr": "{}"}
    assert options == {"queue": "heavy", "task_id": "1"}


@pytest.mark.parametrize(("weight", "step"), [(1, 9), (4, 7), (512, 0), (100_000, 0), (-1, 9)])
def test_a_task_s_weight_becomes_the_step_of_its_message(weight, step):
    assert route("execute_workload", message(priority_weight=weight), {}, {})["priority"] == step


def test_what_is_no_task_goes_first():
    callback = [json.dumps({"type": "ExecuteCallback", "callback": {"id": "7"}})]
    assert route("execute_workload", callback, {}, {})["priority"] == 0


@pytest.mark.parametrize("args", GARBAGE, ids=map(str, range(len(GARBAGE))))
def test_garbage_has_a_step_too(args):
    assert route("execute_workload", args, {}, {})["priority"] == 0


def test_a_message_costs_less_than_a_fifth_of_a_millisecond_of_cpu():
    costs = []
    for number in range(1000):
        args = message(priority_weight=number)
        begun = time.thread_time()
        route("execute_workload", args, {}, {"queue": "default"})
        costs.append(time.thread_time() - begun)
    assert statistics.median(costs) < 0.0002
