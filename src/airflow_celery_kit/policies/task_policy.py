"""Runs in: the Dag processor and task processes, for every task they parse; gives tasks their queue, pool and priority policy.

What the author wrote stays: a queue, a pool, a weight rule other than Airflow's defaults. `KIT_PRIORITY_POLICY` is the
deployment's policy, config/routing.yaml says what differs from it. A task that can have neither is refused as an import error.
"""

import os
from functools import cache
from typing import Any

from airflow.configuration import conf
from airflow.exceptions import AirflowClusterPolicyViolation
from airflow.policies import hookimpl
from airflow.task.weight_rule import WeightRule

from airflow_celery_kit import rules
from airflow_celery_kit.core.routing import BUILT_IN, Facts, Routing, RoutingError, pool_of

AIRFLOWS_OWN = "airflow"
# Airflow takes a strategy by the name of its class. Policies that change with time begin with this one's weights.
FINISH_FIRST = "airflow_celery_kit.policies.strategies.FinishFirst"
DEFAULT_POOL = "default_pool"
# More retries than these are not meant; without it Airflow's own freedom stays.
MOST_RETRIES = "KIT_MOST_RETRIES"


@cache
def deployment() -> tuple[Routing, str, str, bool]:
    """Return the rules, the policy, the default queue, and whether queues have pools.

    Raises ConfigurationError, KeyError for an unknown policy.
    """
    name = os.environ.get("KIT_PRIORITY_POLICY") or AIRFLOWS_OWN
    if name not in BUILT_IN and "." not in name:
        raise KeyError(f"KIT_PRIORITY_POLICY={name}")
    queue = conf.get_mandatory_value("operators", "default_queue")
    return rules.from_environment(), name, queue, bool(os.environ.get("KIT_BACKLOG"))


@hookimpl
def task_policy(task: Any) -> None:
    """Set what the author left at Airflow's defaults.

    Raises AirflowClusterPolicyViolation for a tag that means nothing, and for retries without end.
    """
    limit_retries(task)
    routing, policy, default_queue, pools = deployment()
    try:
        choice = routing.choose(facts_of(task))
    except RoutingError as problem:
        raise AirflowClusterPolicyViolation(str(problem)) from problem
    if choice.queue and task.queue == default_queue:
        task.queue = choice.queue
    if pools and task.queue in routing.queues and waits_for_its_slot(task, default_queue):
        task.pool = pool_of(task.queue)
    if task.weight_rule == WeightRule.DOWNSTREAM and (choice.policy or policy) != AIRFLOWS_OWN:
        task.weight_rule = FINISH_FIRST


def limit_retries(task: Any) -> None:
    """Raise AirflowClusterPolicyViolation for a task that would be tried again and again for weeks."""
    most = os.environ.get(MOST_RETRIES)
    if most and (task.retries or 0) > int(most):
        raise AirflowClusterPolicyViolation(
            f"{task.dag_id}.{task.task_id} asks for {task.retries} retries: {most} is the most (KIT_MOST_RETRIES)"
        )


def waits_for_its_slot(task: Any, default_queue: str) -> bool:
    """Return whether a task waits in Airflow until there is nearly a slot for it; what continues a workflow is sent at once.

    In other queues than the default one that waits too: sent at once, it would take the places of the executor that all queues share.
    A task that takes several pool slots may be greater than the pool.
    """
    begins = task.queue != default_queue or not task.upstream_task_ids
    return begins and task.pool == DEFAULT_POOL and task.pool_slots == 1


def facts_of(task: Any) -> Facts:
    """Return what rules may ask of a task."""
    names = dict.fromkeys(filter(None, (task.task_type, getattr(task, "operator_name", ""))))
    dag = task.get_dag() if hasattr(task, "get_dag") else getattr(task, "dag", None)
    return Facts(
        dag=task.dag_id, task=task.task_id, operator=tuple(names), tags=tuple(sorted(dag.tags if dag else ())), priority=task.priority_weight
    )  # fmt: skip
