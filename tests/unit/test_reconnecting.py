"""A worker that has lost its broker tries often to reach it, and never gives up."""

from types import SimpleNamespace

import pytest
from celery import Celery
from celery.worker.consumer.consumer import Consumer
from kombu.utils import functional

from airflow_celery_kit.worker import celery_settings
from airflow_celery_kit.worker.reconnecting import MOST_SECONDS, quickly


class EnoughError(Exception):
    """The test has seen enough."""


def test_a_worker_goes_on_trying_with_the_kit_s_settings_and_never_waits_longer_than_it_says(monkeypatch):
    settings = celery_settings.build()
    app = Celery("away", broker="redis://127.0.0.1:1/0", set_as_current=False)
    app.conf.broker_connection_max_retries = settings["broker_connection_max_retries"]
    app.conf.broker_connection_retry_on_startup = True
    consumer = SimpleNamespace(app=app, first_connection_attempt=False, broker_connection_retry_attempt=0)
    slept = [0.0]

    def sleep(seconds: float) -> None:
        if consumer.broker_connection_retry_attempt > len(slept):
            slept.append(0.0)
        slept[-1] += seconds
        if len(slept) > 300:
            raise EnoughError

    monkeypatch.setattr(functional, "sleep", sleep)
    with pytest.raises(EnoughError):
        quickly(Consumer.ensure_connected)(consumer, app.connection_for_read())
    assert 0 < max(slept) <= MOST_SECONDS
