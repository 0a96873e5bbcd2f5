"""The deployment's priority policy on real Dags, through Airflow's own serialization."""

import pytest
from airflow.sdk import DAG, task
from airflow.task.weight_rule import WeightRule

from airflow_celery_kit.policies import task_policy
from airflow_celery_kit.policies.strategies import FinishFirst

NAME = f"{FinishFirst.__module__}.{FinishFirst.__name__}"


@pytest.fixture
def policy(monkeypatch):
    """Set the deployment's policy by its name; None leaves it unset."""

    def choose(name: str | None) -> None:
        task_policy.strategy.cache_clear()
        monkeypatch.setenv("KIT_PRIORITY_POLICY", name) if name else monkeypatch.delenv(
            "KIT_PRIORITY_POLICY", raising=False
        )

    yield choose
    task_policy.strategy.cache_clear()


@pytest.fixture
def chain() -> DAG:
    """Extract, then two loads of mapped files, then report; the report's author chose a rule."""
    with DAG("sales", schedule=None) as dag:

        @task
        def extract() -> list[int]:
            return [1, 2]

        @task
        def load(number: int) -> int:
            return number

        @task(weight_rule="absolute")
        def report() -> None: ...

        load.expand(number=extract()) >> report()
    return dag


def rules(dag: DAG) -> dict[str, object]:
    """Apply the policy to every task; return the rules."""
    for one in dag.tasks:
        task_policy.task_policy(one)
    return {one.task_id: one.weight_rule for one in dag.tasks}


def test_tasks_get_the_deployment_s_policy_and_an_author_s_choice_stays(policy, chain):
    policy("finish-first")
    assert rules(chain) == {"extract": NAME, "load": NAME, "report": WeightRule.ABSOLUTE}


@pytest.mark.parametrize("name", [None, "airflow"])
def test_airflow_s_own_weights_are_left_alone(policy, chain, name):
    policy(name)
    assert set(rules(chain).values()) == {WeightRule.DOWNSTREAM, WeightRule.ABSOLUTE}


def test_a_policy_that_does_not_exist_is_an_error(policy, chain):
    policy("best")
    with pytest.raises(KeyError):
        rules(chain)


def test_what_ends_a_workflow_is_most_urgent_after_airflow_has_stored_the_dag(policy, chain, monkeypatch):
    from airflow.models.taskinstance import TaskInstance
    from airflow.serialization.serialized_objects import DagSerialization

    policy("finish-first")
    rules(chain)
    stored = DagSerialization.from_dict(DagSerialization.to_dict(chain))
    weights = {
        name: TaskInstance(one, run_id="r", dag_version_id=None).priority_weight
        for name, one in stored.task_dict.items()
    }
    assert weights == {"extract": 128, "load": 256, "report": 1}


def test_both_are_registered_with_airflow():
    from importlib.metadata import entry_points

    (policy,) = entry_points(group="airflow.policy", name="airflow_celery_kit")
    (plugin,) = entry_points(group="airflow.plugins", name="airflow_celery_kit")
    assert policy.load() is task_policy
    assert FinishFirst in plugin.load().priority_weight_strategies
