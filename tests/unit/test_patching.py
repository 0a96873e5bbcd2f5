"""Changes of Airflow's own code: each fits the installed version, and is left out where Airflow is another one."""

import time
from importlib import import_module
from types import SimpleNamespace

import pytest

from airflow_celery_kit import patching


def changes() -> list[tuple[object, dict[str, str]]]:
    """Every module or class that the kit changes or relies on, with the digests that it was written against."""
    return [*of_airflow(), *of_workers(), *of_celery()]


def of_airflow() -> list[tuple[object, dict[str, str]]]:
    """Those of Airflow's services."""
    from airflow.dag_processing import collection
    from airflow.dag_processing.manager import DagFileProcessorManager
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.utils import db_cleanup

    from airflow_celery_kit.api import layers, threads
    from airflow_celery_kit.dag_processor import permissions, requests
    from airflow_celery_kit.scheduler import beginnings, mapped, pace, wake
    from airflow_celery_kit.triggerer import tables

    woken = [(SchedulerJobRunner, module.WRITTEN_AGAINST) for module in (wake, pace, beginnings)]
    answered = [
        (import_module(name), against)
        for changed in (layers.WRITTEN_AGAINST, layers.CADWYN, threads.WRITTEN_AGAINST, mapped.WRITTEN_AGAINST)
        for name, against in changed.items()
    ]
    return [
        *woken,
        *answered,
        (collection, permissions.WRITTEN_AGAINST),
        (DagFileProcessorManager, requests.WRITTEN_AGAINST),
        (db_cleanup, tables.WRITTEN_AGAINST),
    ]


def of_workers() -> list[tuple[object, dict[str, str]]]:
    """Those of what Airflow does in a worker."""
    from airflow.sdk.execution_time import comms, supervisor, task_runner
    from airflow.sdk.execution_time.supervisor import ActivitySubprocess

    from airflow_celery_kit.worker import adapters, deadline, log_levels, task_supervisor

    return [
        (ActivitySubprocess, task_supervisor.WRITTEN_AGAINST),
        *zip((comms, task_runner), adapters.WRITTEN_AGAINST, strict=True),
        (task_runner, deadline.WRITTEN_AGAINST),
        (supervisor, log_levels.WRITTEN_AGAINST),
    ]


def of_celery() -> list[tuple[object, dict[str, str]]]:
    """Those of Celery and kombu."""
    from celery.backends import database
    from celery.concurrency.asynpool import AsynPool
    from celery.worker.consumer.consumer import Consumer
    from kombu.transport.redis import Channel

    from airflow_celery_kit.worker import control_connection, reconnecting, result_backend, slots

    return [
        (database, result_backend.WRITTEN_AGAINST),
        (Consumer, slots.WRITTEN_AGAINST),
        (Consumer, reconnecting.WRITTEN_AGAINST),
        (AsynPool, slots.POOL_WRITTEN_AGAINST),
        (Channel, control_connection.WRITTEN_AGAINST),
    ]


def test_every_change_fits_the_installed_airflow(caplog):
    found = changes()
    assert sum(len(against) for _, against in found) == 47
    assert [patching.fits("it", owner, against) for owner, against in found] == [True] * len(found), caplog.text


def sample() -> int:
    """Return one."""
    return 1


OWNER = SimpleNamespace(sample=sample, sleep=time.sleep)


def test_a_function_that_is_another_one_leaves_the_change_out_and_says_so(caplog):
    assert patching.fits("the change", OWNER, {"sample": patching.digest(sample)})
    assert caplog.text == ""
    assert not patching.fits("the change", OWNER, {"sample": "000000000000"})
    assert "the change is left out, Airflow's own way stays: sample is another one" in caplog.text


@pytest.mark.parametrize("name", ["sleep", "renamed"])
def test_a_function_without_source_or_that_is_gone_leaves_it_out_too(name):
    assert not patching.fits("the change", OWNER, {name: "000000000000"})


def test_a_change_that_fails_is_left_out_and_the_others_are_made(caplog):
    made = []

    def broken() -> None:
        raise ImportError("no module named airflow.sdk.moved")

    patching.attempt([broken, lambda: made.append(1)])
    assert made == [1]
    assert "is left out, Airflow's own way stays: no module named airflow.sdk.moved" in caplog.text
