"""Runs in: the health check of a stock worker; the ping that the quick-start file asks for."""

import os

APP = "airflow.providers.celery.executors.celery_executor.app"
os.execvp(
    "celery", ["celery", "--app", APP, "inspect", "ping", "--destination", f"celery@{os.environ['KIT_INSTANCE']}"]
)
