"""Changes of Airflow's own code: each fits the installed version, and is left out where Airflow is another one."""

import time

import pytest

from airflow_celery_kit import patching


def changed_functions() -> list[tuple[str, object, str]]:
    """Every function of Airflow that the kit changes or relies on, with the digest that it was written against."""
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.sdk.execution_time import comms, task_runner
    from airflow.sdk.execution_time.supervisor import ActivitySubprocess

    from airflow_celery_kit.scheduler import wake
    from airflow_celery_kit.worker import adapters, task_supervisor

    known = {name: one for module in (wake, task_supervisor, adapters) for name, one in module.WRITTEN_AGAINST.items()}
    owners = (SchedulerJobRunner, ActivitySubprocess, comms, task_runner)
    return [
        (name, next(getattr(owner, name) for owner in owners if hasattr(owner, name)), one)
        for name, one in known.items()
    ]


def test_every_change_fits_the_installed_airflow():
    found = changed_functions()
    assert len(found) == 8
    assert [name for name, function, known in found if patching.digest(function) != known] == []


def sample() -> int:
    """Return one."""
    return 1


def test_a_function_that_is_another_one_leaves_the_change_out_and_says_so(caplog):
    assert patching.fits("the change", {sample: patching.digest(sample)})
    assert caplog.text == ""
    assert not patching.fits("the change", {sample: "000000000000"})
    assert "the change is left out, Airflow's own way stays: sample is another one" in caplog.text


@pytest.mark.parametrize("sourceless", [time.sleep, len])
def test_a_function_without_source_leaves_it_out_too(sourceless):
    assert not patching.fits("the change", {sourceless: "000000000000"})
