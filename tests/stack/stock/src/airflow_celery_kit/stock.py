"""Runs in: scheduler and workers of the stock stack; the provider's Celery configuration with the broker's password."""

from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG

from airflow_celery_kit.worker import broker

CELERY_CONFIG = {**DEFAULT_CELERY_CONFIG, **broker.credentials()}
