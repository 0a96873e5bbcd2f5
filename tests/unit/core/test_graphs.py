"""What is kept of a serialized Dag, on Dags that Airflow's own serializer wrote."""

import json
import zlib

from airflow_celery_kit.core.journal.graphs import opened, tasks_of


def serialized():
    """A Dag with a group that is mapped as a whole and a task that says when it runs."""
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.sdk import DAG, task, task_group
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("sales", schedule=None, default_args={"owner": "hush"}) as dag:

        @task
        def numbers() -> list[int]:
            """Make what is loaded."""

        @task_group
        def each(number: int) -> None:
            BashOperator(task_id="load", bash_command="echo hush", env={"TOKEN": "hush"}) >> BashOperator(
                task_id="check", bash_command="true", trigger_rule="one_success"
            )

        each.expand(number=numbers())
    return json.loads(json.dumps(DagSerialization.to_dict(dag)))


def test_tasks_are_known_by_what_they_come_after_and_by_nothing_secret():
    found = tasks_of(serialized())
    assert [(one["task_id"], one["operator"], one["upstream"], one["mapped"], one["trigger_rule"], one["group"]) for one in found] == [
        ("each.check", "BashOperator", ["each.load"], True, "one_success", "each"),
        ("each.load", "BashOperator", ["numbers"], True, "all_success", "each"),
        ("numbers", "@task", [], False, "all_success", None),
    ]  # fmt: skip
    assert "hush" not in json.dumps(found)


def test_a_dag_that_airflow_keeps_compressed_is_read_too():
    data = serialized()
    assert opened(None, zlib.compress(json.dumps(data).encode())) == data == opened(data, None)
