"""The times that must fit together, wherever they are set: what is shorter than what, and why."""

import re
from pathlib import Path

import pytest
from dotenv import dotenv_values

from airflow_celery_kit.controller.lease import LEASE_SECONDS
from airflow_celery_kit.controller.main import LOOK_SECONDS as CONTROLLER_LOOK
from airflow_celery_kit.controller.main import SETTLE_SECONDS
from airflow_celery_kit.core.repair import CONFIRM_SECONDS, GAP_SECONDS, HEARTBEAT_SECONDS, QUEUED_SECONDS
from airflow_celery_kit.health.workers import LOST_SECONDS, STEADY_SECONDS, Workers
from airflow_celery_kit.knobs import KNOBS
from airflow_celery_kit.probes.worker import RETURN_SECONDS, STALE_SECONDS
from airflow_celery_kit.scheduler.gate import CLOSED_SECONDS
from airflow_celery_kit.worker.broker import REPORT_SECONDS as LIFE_SECONDS
from airflow_celery_kit.worker.broker import TRANSPORT_OPTIONS
from airflow_celery_kit.worker.guard import SILENT_SECONDS
from airflow_celery_kit.worker.hearing import DEAF_SECONDS
from airflow_celery_kit.worker.reconnecting import MOST_SECONDS
from airflow_celery_kit.worker.reports import EVERY_SECONDS
from airflow_celery_kit.worker.way_out import GIVE_BACK_SECONDS, LOOK_SECONDS, soft_seconds

ROOT = Path(__file__).parents[2]
AIRFLOW = dotenv_values(ROOT / "config" / "airflow.env", interpolate=False)
# `[scheduler] task_instance_heartbeat_timeout`, left at Airflow's default.
HEARTBEAT_TIMEOUT = 300
LONGEST_API_OUTAGE = 120


def airflow(name: str) -> float:
    """A number from config/airflow.env."""
    return float(AIRFLOW[f"AIRFLOW__{name}"])


VISIBILITY = float(AIRFLOW["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"])


@pytest.mark.parametrize("grace", [1, 10, 60, 600, 79_999])
def test_tasks_are_ended_before_the_supervisor_kills_and_long_before_a_message_is_delivered_again(grace):
    assert re.fullmatch(KNOBS["STOP_GRACE"].pattern, f"{grace}s")
    assert soft_seconds(grace) < grace < VISIBILITY


def test_no_stop_may_take_longer_than_the_visibility_timeout():
    assert not re.fullmatch(KNOBS["STOP_GRACE"].pattern, f"{VISIBILITY:.0f}s")
    assert soft_seconds(600) == 600 - GIVE_BACK_SECONDS


def test_a_token_lives_as_long_as_its_message_may_wait():
    """A workload's token is valid for `task_queued_timeout` (airflow/executors/workloads/base.py)."""
    assert airflow("SCHEDULER__TASK_QUEUED_TIMEOUT") >= VISIBILITY


def test_a_task_outlasts_the_longest_outage_of_the_api_server():
    shortest_wait = 1.0
    assert airflow("WORKERS__EXECUTION_API_RETRIES") * shortest_wait * 2 > LONGEST_API_OUTAGE
    assert HEARTBEAT_TIMEOUT > LONGEST_API_OUTAGE, "the scheduler itself would take the task for dead"


def test_a_worker_leaves_within_five_seconds_of_its_last_task():
    leaving = 2
    assert airflow("WORKERS__MIN_HEARTBEAT_INTERVAL") + leaving < 5


def test_a_living_worker_is_not_taken_for_dead():
    assert EVERY_SECONDS * 4 < LIFE_SECONDS, "a report or two may come late"
    assert airflow("WORKERS__MIN_HEARTBEAT_INTERVAL") * 4 < HEARTBEAT_SECONDS, "so may a task's heartbeat"
    assert LIFE_SECONDS <= SETTLE_SECONDS, "after an outage workers report before anybody judges them"
    assert TRANSPORT_OPTIONS["socket_timeout"] < LIFE_SECONDS


def test_a_worker_is_back_from_an_outage_of_its_broker_before_anybody_calls_it_ill():
    a_try = TRANSPORT_OPTIONS["socket_timeout"] * (1 + TRANSPORT_OPTIONS["retry_on_timeout"])
    back = MOST_SECONDS + a_try + EVERY_SECONDS
    assert back < min(LOST_SECONDS, RETURN_SECONDS, SETTLE_SECONDS, SILENT_SECONDS)
    assert Workers.every < STEADY_SECONDS < 2 * Workers.every, "one look that saw nothing is noticed"


def test_a_message_on_its_way_is_not_taken_for_lost():
    restored = TRANSPORT_OPTIONS["unacked_restore_interval"] * TRANSPORT_OPTIONS["unacked_restore_throttle"]
    assert restored + EVERY_SECONDS + CLOSED_SECONDS < QUEUED_SECONDS
    assert CONTROLLER_LOOK * 2 < CONFIRM_SECONDS < GAP_SECONDS, (
        "confirmed over several looks, without a gap between them"
    )


def test_a_dead_worker_is_noticed_and_its_tasks_run_again_within_a_minute():
    detection = airflow("SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL")
    assert max(LIFE_SECONDS, HEARTBEAT_SECONDS) + CONFIRM_SECONDS + CONTROLLER_LOOK + detection < 60 - 15


def test_the_tasks_of_a_dead_scheduler_are_adopted_within_a_minute():
    health_check_threshold = 30
    assert health_check_threshold + airflow("SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL") < 60 - 15


def test_a_silent_worker_is_reported_within_one_minute_and_replaced_within_two():
    found = re.search(r"x-health: .*interval: (\d+)s.*retries: (\d+)", (ROOT / "docker-compose.yml").read_text())
    check_every, failures = map(float, found.groups())
    silent = max(DEAF_SECONDS + EVERY_SECONDS + STALE_SECONDS, RETURN_SECONDS)
    assert silent + check_every * failures < 55
    start = 40
    assert DEAF_SECONDS + SILENT_SECONDS + LOOK_SECONDS * 2 + start < 120


def test_another_controller_takes_over_within_fifteen_seconds():
    assert LEASE_SECONDS + CONTROLLER_LOOK < 15
    assert CONTROLLER_LOOK * 3 < LEASE_SECONDS, "the leader renews it in time"
