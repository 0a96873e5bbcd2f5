"""What a task says of limits and breakers, as it stands in the stored Dag."""

from datetime import UTC, datetime

import pytest

from airflow_celery_kit.task import guarded, kit_config


def stored(make):
    """The tasks of a Dag as they are stored."""
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("sales", schedule=None) as dag:
        make()
    return {one["__var"]["task_id"]: one["__var"] for one in DagSerialization.to_dict(dag)["dag"]["tasks"]}


def plain(value):
    """Airflow's encoding, undone."""
    if isinstance(value, dict):
        return plain(value["__var"]) if "__var" in value else {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


def said(task):
    """What a stored task says."""
    return plain(task.get("executor_config") or task["partial_kwargs"]["executor_config"])


def test_a_task_a_mapped_one_and_an_operator_say_it_in_the_stored_dag():
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.sdk import task

    def make():
        @guarded(breaker="crm", limit="crm-db")
        @task
        def load(): ...

        @guarded(limit=["crm-db", "mails"])
        @task(executor_config={"other": 1})
        def many(row): ...

        load()
        many.expand(row=[1, 2])
        guarded(breaker="crm")(BashOperator(task_id="call", bash_command="true"))

    found = stored(make)
    assert said(found["load"])["kit"] == {"limit": ["crm-db"], "breaker": ["crm"]}
    assert said(found["many"]) == {"other": 1, "kit": {"limit": ["crm-db", "mails"], "breaker": []}}
    assert said(found["call"])["kit"]["breaker"] == ["crm"]


def test_a_guard_that_is_defined_by_the_way_is_checked_like_the_file():
    (row,) = kit_config(limit={"name": "db", "slots": 3})["define"]
    assert (row["id"], row["slots"], row["named"], row["origin"]) == ("limit db", 3, True, "dag")
    with pytest.raises(ValueError, match="limit db: slots.*Input should be a valid integer"):
        guarded(limit={"name": "db", "slots": "three"})


def test_a_start_is_a_moment_that_everybody_understands():
    assert kit_config(start=datetime(2026, 1, 31, tzinfo=UTC))["start"] == "2026-01-31T00:00:00+00:00"
    with pytest.raises(ValueError, match="no time zone"):
        kit_config(start=datetime(2026, 1, 31))
