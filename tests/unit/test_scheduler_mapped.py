"""What the scheduler asks about the tasks that a mapped task waits for: nothing where it waits for none."""

from types import SimpleNamespace

import pytest

from airflow_celery_kit.scheduler import mapped


@pytest.fixture
def definitions(monkeypatch):
    """Airflow's definitions of what is mapped; what a test changes in them is put back."""
    from airflow.serialization.definitions.mappedoperator import SerializedMappedOperator
    from airflow.serialization.definitions.taskgroup import SerializedMappedTaskGroup

    for owner in (SerializedMappedOperator, SerializedMappedTaskGroup):
        monkeypatch.setattr(owner, "iter_mapped_dependencies", owner.iter_mapped_dependencies)


@pytest.fixture(scope="module")
def tasks() -> dict:
    """The tasks of a Dag as the scheduler has them: mapped over what is written in it, over a task's result, and in a mapped group."""
    from airflow.sdk import dag, task, task_group
    from airflow.serialization.serialized_objects import DagSerialization

    @dag(schedule=None)
    def sample():
        @task
        def produce():
            return [1, 2]

        @task
        def consume(value):
            return value

        @task_group
        def group(value):
            consume.override(task_id="inside")(value)

        consume.override(task_id="written").expand(value=[1, 2])
        consume.override(task_id="produced").expand(value=produce())
        group.override(group_id="fixed").expand(value=[1, 2])

    found = DagSerialization.from_dict(DagSerialization.to_dict(sample()))
    return {name: found.get_task(name) for name in found.task_ids}


def verdicts(task) -> tuple[list[bool], list[str]]:
    """Return whether what Airflow checks for a task instance holds, and the statements that it asked the database."""
    from airflow.ti_deps.dep_context import DepContext
    from airflow.ti_deps.deps.mapped_task_upstream_dep import MappedTaskUpstreamDep

    asked = []

    def scalars(statement):
        asked.append(str(statement))
        return SimpleNamespace(all=list)

    instance = SimpleNamespace(task=task, dag_id="sample", run_id="run", map_index=-1, state=None)
    check = MappedTaskUpstreamDep()._get_dep_statuses(instance, DepContext(), session=SimpleNamespace(scalars=scalars))
    return [status.passed for status in check], asked


NOTHING_TO_WAIT_FOR = ("written", "fixed.inside")


def test_airflow_alone_asks_for_nothing_in_particular(tasks):
    for name in NOTHING_TO_WAIT_FOR:
        passed, asked = verdicts(tasks[name])
        assert passed == [True] and len(asked) == 1, name


def test_what_waits_for_no_task_asks_nothing_and_passes(definitions, tasks):
    mapped.install()
    for name in NOTHING_TO_WAIT_FOR:
        assert verdicts(tasks[name]) == ([True], []), name


def test_what_waits_for_a_task_asks_for_it_as_ever(definitions, tasks):
    stock = verdicts(tasks["produced"])
    assert len(stock[1]) == 1
    mapped.install()
    assert verdicts(tasks["produced"]) == stock
    assert [one.task_id for one in tasks["produced"].iter_mapped_dependencies()] == ["produce"]
