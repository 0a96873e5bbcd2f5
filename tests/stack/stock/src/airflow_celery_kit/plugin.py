"""Runs in: every process of the stock stack; a plugin that adds nothing."""

from airflow.plugins_manager import AirflowPlugin


class KitPlugin(AirflowPlugin):
    """Nothing."""

    name = "airflow_celery_kit"
