"""Which instances of the embedded runtime run with other settings than they would be started with now."""

import pytest

from airflow_celery_kit import env_file
from airflow_celery_kit.runtimes import changed
from airflow_celery_kit.settings import Settings

RUNNING = ["airflow-controller-1", "airflow-worker-1", "valkey-1"]


@pytest.fixture
def noted(settings) -> Settings:
    """Settings of instances that have been started."""
    (settings.var / "run").mkdir(parents=True)
    for instance in RUNNING[:2]:
        changed.note(settings, instance)
    return settings


def test_nothing_has_changed_where_nothing_has_and_servers_note_nothing(noted):
    assert changed.among(noted, RUNNING) == []


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        ({"TASK_RETRIES": "5"}, RUNNING[:2]),
        ({"HEALTH_CHECKS": "moon.Moon"}, RUNNING[:1]),
        ({"STOP_GRACE": "99s"}, RUNNING[1:2]),
        ({"WORKER_QUEUES": "default,reports"}, RUNNING[1:2]),
        ({"WORKERS": "3"}, []),
        ({"CONTROLLERS": "1"}, []),
    ],
)
def test_a_changed_knob_is_for_those_who_have_it(noted, change, stale):
    assert changed.among(env_file.record(noted, change), RUNNING) == stale


def test_no_secret_can_be_read_from_what_is_noted(noted):
    said = (noted.var / "run" / "airflow-worker-1.settings").read_text()
    assert len(said) == 64 and set(said) <= set("0123456789abcdef")
