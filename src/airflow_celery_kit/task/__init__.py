"""Runs in: task processes, imported by Dags; what a task can say and ask for: progress, results, metrics, checkpoints, sections, work done once."""

from airflow_celery_kit.task.checkpoint import checkpoint
from airflow_celery_kit.task.guarded import guarded, kit_config
from airflow_celery_kit.task.measuring import metric
from airflow_celery_kit.task.once import TakenError, deduplicate
from airflow_celery_kit.task.saying import business_result, no_data, progress
from airflow_celery_kit.task.sections import PoisonError, optional, poisonous, retry

__all__ = [
    "PoisonError",
    "TakenError",
    "business_result",
    "checkpoint",
    "deduplicate",
    "guarded",
    "kit_config",
    "metric",
    "no_data",
    "optional",
    "poisonous",
    "progress",
    "retry",
]
