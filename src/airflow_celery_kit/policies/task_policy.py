"""Runs in: the Dag processor and task processes, for every task they parse; gives tasks the priority policy of the deployment.

`KIT_PRIORITY_POLICY` names it: `finish-first`, or `airflow` for Airflow's own weights. A task whose author chose
another rule than Airflow's default keeps it.
"""

import os
from functools import cache
from typing import Any

from airflow.policies import hookimpl
from airflow.task.weight_rule import WeightRule

AIRFLOWS_OWN = "airflow"
# Airflow takes a strategy by the name of its class.
STRATEGIES = {AIRFLOWS_OWN: "", "finish-first": "airflow_celery_kit.policies.strategies.FinishFirst"}


@cache
def strategy() -> str:
    """Return the class of this deployment's strategy, nothing for Airflow's own. Raises KeyError for one that does not exist."""
    return STRATEGIES[os.environ.get("KIT_PRIORITY_POLICY") or AIRFLOWS_OWN]


@hookimpl
def task_policy(task: Any) -> None:
    """Set the strategy of a task that has Airflow's default rule."""
    if task.weight_rule == WeightRule.DOWNSTREAM and (chosen := strategy()):
        task.weight_rule = chosen
