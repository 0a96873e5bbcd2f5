"""Runs in: scheduler and workers, at import; the module that `celery_config_options` names.

Airflow takes the dictionary as it stands, so this is the one module that must work when it is imported. It starts
from the provider's defaults (without them the worker loses broker, queue name and late acknowledgement) and reads one
secret file.
"""

from typing import Any

from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG

from airflow_celery_kit.scheduler.router import route
from airflow_celery_kit.worker import broker
from airflow_celery_kit.worker.result_backend import DATABASE_OPTIONS


def build() -> dict[str, Any]:
    """Return the whole Celery configuration: the provider's defaults, then what the kit adds."""
    return {
        **DEFAULT_CELERY_CONFIG,
        **broker.credentials(),
        "broker_transport_options": {**DEFAULT_CELERY_CONFIG["broker_transport_options"], **broker.TRANSPORT_OPTIONS},
        # Loaded by workers only; connects the handlers that write the beat file.
        "imports": ["airflow_celery_kit.worker.signals"],
        # A message whose task started here is not started again.
        "task_annotations": {
            "execute_workload": {
                "Strategy": "airflow_celery_kit.worker.duplicates:once",
                "Request": "airflow_celery_kit.worker.duplicates:Request",
            }
        },
        # Sets what Flower and the logs show instead of the arguments, which hold a token.
        "task_routes": (route,),
        # Flower sees workers and tasks through these events.
        "worker_send_task_events": True,
        "database_engine_options": DATABASE_OPTIONS,
        "override_backends": {"db": "airflow_celery_kit.worker.result_backend:chosen"},
        # A result that cannot be stored holds a slot of the executor, so the worker waits for its database.
        "result_backend_always_retry": True,
        "result_backend_max_sleep_between_retries_ms": 2000,
        # The default is a hundred tries, after which a worker ends, or takes nothing more until its tasks have ended.
        "broker_connection_max_retries": None,
        "task_publish_retry_policy": broker.PUBLISH_RETRY_POLICY,
        "task_send_sent_event": True,
    }


CELERY_CONFIG = build()
