"""The Dags parse, keep the house rules, and are wired the way their docstrings say."""

import ast
from pathlib import Path

import pytest


def test_it_parses_without_errors(bags, name):
    assert bags[name].import_errors == {}
    assert list(bags[name].dags) == [name]


def test_it_says_what_it_shows_and_runs_only_when_asked(bags, name):
    dag = bags[name].dags[name]
    first_line = ast.get_docstring(ast.parse(Path(dag.fileloc).read_text())).splitlines()[0]
    assert dag.doc_md.splitlines()[0] == first_line
    assert first_line.endswith(".")
    assert {"kit", "example"} < set(dag.tags)
    assert dag.schedule is None
    assert dag.catchup is False


def test_no_task_may_run_for_ever(bags, name):
    assert all(task.execution_timeout for task in bags[name].dags[name].tasks)


def test_it_imports_nothing_of_airflow_but_the_sdk_and_of_the_kit_but_what_is_for_tasks(bags, name):
    tree = ast.parse(Path(bags[name].dags[name].fileloc).read_text())
    origins = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {origin for origin in origins if origin.startswith("airflow")} - {"airflow_celery_kit.task"} == {
        "airflow.sdk"
    }


def test_only_the_heavy_task_leaves_the_default_queue(bags):
    queues = {task.task_id: task.queue for bag in bags.values() for dag in bag.dags.values() for task in dag.tasks}
    assert queues.pop("count_primes") == "heavy"
    assert set(queues.values()) == {"default"}


def test_the_work_on_distributions_is_mapped_over_the_batches(bags):
    dag = bags["installed_distributions"].dags["installed_distributions"]
    assert [task.task_id for task in dag.tasks if task.is_mapped] == ["measure"]
    assert dag.get_task("measure").upstream_task_ids == {"list_batches"}
    assert dag.get_task("write_report").upstream_task_ids == {"measure", "add_up"}


def test_the_join_runs_although_one_side_is_skipped(bags):
    dag = bags["branching"].dags["branching"]
    assert dag.get_task("choose").downstream_task_ids == {"add_one_by_one", "add_by_formula"}
    assert dag.get_task("join").upstream_task_ids == {"add_one_by_one", "add_by_formula"}
    assert dag.get_task("join").trigger_rule == "none_failed_min_one_success"


def test_the_chains_are_chains_and_do_not_touch(bags, dag_file):
    dag, chains = bags["chains"].dags["chains"], dag_file("chains")
    expected = {
        f"chain_{number}.step_{step}": {f"chain_{number}.step_{step - 1}"} if step > 1 else set()
        for number in range(1, chains.CHAINS + 1)
        for step in range(1, chains.STEPS + 1)
    }
    assert {task.task_id: task.upstream_task_ids for task in dag.tasks} == expected


@pytest.mark.parametrize(
    ("name", "param", "value"),
    [
        ("installed_distributions", "batches", 0),
        ("installed_distributions", "batches", "twelve"),
        ("installed_distributions", "output_dir", ""),
        ("branching", "size", 0),
        ("heavy_queue", "limit", 9),
    ],
)
def test_a_wrong_param_is_refused(bags, name, param, value):
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        bags[name].dags[name].params.get_param(param).resolve(value)
