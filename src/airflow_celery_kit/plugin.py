"""Runs in: every process of Airflow; lists what Airflow loads of the kit."""

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from airflow_celery_kit.api.by_hand import ByHand
from airflow_celery_kit.api.first_paint import FirstPaint
from airflow_celery_kit.api.lazy import AtStart, Lazy
from airflow_celery_kit.policies import strategies
from airflow_celery_kit.scheduler import listener
from airflow_celery_kit.worker import listener as failures


class KitPlugin(AirflowPlugin):
    """What the kit adds to Airflow."""

    name = "airflow_celery_kit"
    priority_weight_strategies: ClassVar[list[Any]] = [strategies.FinishFirst]
    listeners: ClassVar[list[Any]] = [listener, failures]
    fastapi_apps: ClassVar[list[Any]] = [{"name": "airflow_celery_kit", "url_prefix": "/kit/v1", "app": Lazy()}]
    react_apps: ClassVar[list[Any]] = [
        {
            "name": "Tasks and workflows",
            "bundle_url": "kit/v1/console/console.js",
            "destination": "nav",
            "category": "browse",
            "url_route": "kit",
        }
    ]
    fastapi_root_middlewares: ClassVar[list[Any]] = [
        {"name": "airflow_celery_kit at start", "middleware": AtStart},
        {"name": "airflow_celery_kit first paint", "middleware": FirstPaint},
        {"name": "airflow_celery_kit by hand", "middleware": ByHand},
    ]
