"""The deployment's priority policy on real Dags, through Airflow's own serialization."""

import pytest
from airflow.exceptions import AirflowClusterPolicyViolation
from airflow.sdk import DAG, task
from airflow.task.weight_rule import WeightRule

from airflow_celery_kit.policies import task_policy
from airflow_celery_kit.policies.strategies import FinishFirst

NAME = f"{FinishFirst.__module__}.{FinishFirst.__name__}"


@pytest.fixture
def policy(monkeypatch):
    """Set the deployment's policy by its name; None leaves it unset."""

    def choose(name: str | None) -> None:
        task_policy.deployment.cache_clear()
        monkeypatch.setenv("KIT_PRIORITY_POLICY", name) if name else monkeypatch.delenv(
            "KIT_PRIORITY_POLICY", raising=False
        )

    yield choose
    task_policy.deployment.cache_clear()


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


def all_rules(dag: DAG) -> dict[str, object]:
    """Apply the policy to every task; return the rules."""
    for one in dag.tasks:
        task_policy.task_policy(one)
    return {one.task_id: one.weight_rule for one in dag.tasks}


def test_tasks_get_the_deployment_s_policy_and_an_author_s_choice_stays(policy, chain):
    policy("finish-first")
    assert all_rules(chain) == {"extract": NAME, "load": NAME, "report": WeightRule.ABSOLUTE}


@pytest.mark.parametrize("name", [None, "airflow"])
def test_airflow_s_own_weights_are_left_alone(policy, chain, name):
    policy(name)
    assert set(all_rules(chain).values()) == {WeightRule.DOWNSTREAM, WeightRule.ABSOLUTE}


def test_a_policy_that_does_not_exist_is_an_error(policy, chain):
    policy("best")
    with pytest.raises(KeyError):
        all_rules(chain)


@pytest.fixture
def rules(monkeypatch, tmp_path):
    """Write the deployment's rules, with a pool for each queue."""

    def write(text: str) -> None:
        (tmp_path / "routing.yaml").write_text(text)
        monkeypatch.setenv("KIT_ROUTING_FILE", str(tmp_path / "routing.yaml"))
        monkeypatch.setenv("KIT_BACKLOG", "1")

    return write


def places(dag: DAG) -> dict[str, tuple[str, str]]:
    """Apply the policy to every task; return queues and pools."""
    for one in dag.tasks:
        task_policy.task_policy(one)
    return {one.task_id: (one.queue, one.pool) for one in dag.tasks}


def test_a_rule_gives_a_queue_and_new_work_waits_in_the_queue_s_pool_as_all_of_another_queue_does(policy, rules, chain):
    rules("rules: [{when: {dag: sales, operator: '@task', task: load}, queue: heavy}]")
    policy("finish-first")
    assert places(chain) == {
        "extract": ("default", "queue_default"), "load": ("heavy", "queue_heavy"), "report": ("default", "default_pool"),
    }  # fmt: skip


def test_what_the_author_chose_stays(policy, rules):
    rules("queues: [default, heavy]\nrules: [{queue: heavy}]")
    policy("finish-first")
    with DAG("own", schedule=None) as dag:
        task(queue="gpu")(lambda: None).override(task_id="queue")()
        task(pool="licences")(lambda: None).override(task_id="pool")()
        task(pool_slots=20)(lambda: None).override(task_id="slots")()
    assert places(dag) == {
        "queue": ("gpu", "default_pool"),
        "pool": ("heavy", "licences"),
        "slots": ("heavy", "default_pool"),
    }


def test_without_a_backlog_pools_are_left_alone(policy, chain, monkeypatch):
    policy("finish-first")
    monkeypatch.delenv("KIT_BACKLOG", raising=False)
    assert {pool for _, pool in places(chain).values()} == {"default_pool"}


def test_one_dag_may_have_another_policy_by_a_rule_or_a_tag(policy, rules, chain):
    rules("rules: [{when: {dag: sales}, policy: airflow}]")
    policy("finish-first")
    assert all_rules(chain)["extract"] == WeightRule.DOWNSTREAM
    chain.tags = {"kit:policy:deadline"}
    assert all_rules(chain)["extract"] == NAME


def test_a_tag_that_means_nothing_refuses_the_dag_with_a_sentence(policy, rules, chain):
    rules("")
    policy("finish-first")
    chain.tags = {"kit:class:lead"}
    with pytest.raises(AirflowClusterPolicyViolation, match="Dag sales: no class 'lead'"):
        places(chain)


def test_what_ends_a_workflow_is_most_urgent_after_airflow_has_stored_the_dag(policy, chain, monkeypatch):
    from airflow.models.taskinstance import TaskInstance
    from airflow.serialization.serialized_objects import DagSerialization

    policy("finish-first")
    all_rules(chain)
    stored = DagSerialization.from_dict(DagSerialization.to_dict(chain))
    weights = {
        name: TaskInstance(one, run_id="r", dag_version_id=None).priority_weight
        for name, one in stored.task_dict.items()
    }
    assert weights == {"extract": 64, "load": 128, "report": 1}


def test_both_are_registered_with_airflow():
    from importlib.metadata import entry_points

    (policy,) = entry_points(group="airflow.policy", name="airflow_celery_kit")
    (plugin,) = entry_points(group="airflow.plugins", name="airflow_celery_kit")
    assert policy.load() is task_policy
    assert FinishFirst in plugin.load().priority_weight_strategies


def test_more_retries_than_are_meant_are_refused(monkeypatch, policy):
    policy(None)
    with DAG("sales", schedule=None):

        @task(retries=101)
        def load(number: int) -> None: ...

        mapped = load.expand(number=[1]).operator
    monkeypatch.setenv(task_policy.MOST_RETRIES, "100")
    with pytest.raises(AirflowClusterPolicyViolation, match=r"sales.load asks for 101 retries: 100 is the most"):
        task_policy.task_policy(mapped)
    monkeypatch.delenv(task_policy.MOST_RETRIES)
    task_policy.task_policy(mapped)
