"""Why a stack is not ready, from what its parts report."""

import pytest

from airflow_celery_kit.clients import Worker
from airflow_celery_kit.runtimes.base import Instance
from airflow_celery_kit.status import Status, _reasons


def part(name: str, state: str = "running", healthy: bool = True, detail: str = "") -> Instance:
    """One part of a stack."""
    return Instance(name.rpartition("-")[0], name, state, healthy, 1, None, name, detail)


WORKER = Worker("airflow-worker-1", ("default",), 4)
DEAD = Instance("supervisor", "supervisor", "dead", False, None, None, None, "'kit up' ends them")


@pytest.mark.parametrize(
    ("expected", "found", "workers", "told"),
    [
        (["valkey-1"], [], None, [("the stack is not up: run 'kit up'", "")]),
        (["valkey-1"], [part("valkey-1")], [], []),
        (["airflow-worker-1"], [part("airflow-worker-1")], [WORKER], []),
        (
            ["airflow-worker-1"],
            [part("airflow-worker-1")],
            [],
            [("no worker is registered with the broker", "airflow-worker-1")],
        ),
        (
            ["airflow-worker-1", "valkey-1"],
            [part("valkey-1", healthy=False, detail="no PONG")],
            [WORKER],
            [("valkey-1 is not healthy: no PONG", "valkey-1"), ("airflow-worker-1 is missing", "")],
        ),
        (["valkey-1"], [part("valkey-1", "stopped", False)], [], [("valkey-1 is stopped", "valkey-1")]),
        (
            ["valkey-1"],
            [part("valkey-1")],
            None,
            [("Flower does not answer, so nobody knows the workers", "airflow-flower")],
        ),
        (["supervisor"], [DEAD], [], [("supervisor is dead: 'kit up' ends them", "")]),
    ],
)
def test_reasons_name_cause_and_log(expected, found, workers, told):
    assert [(reason.text, reason.instance) for reason in _reasons(expected, found, workers)] == told


def test_a_stopped_part_is_told_with_its_cure_and_what_others_stand_on_comes_first():
    parts = [part("airflow-worker-1", "stopped", False), part("valkey-1", "stopped", False)]
    broker, worker = _reasons([], parts, [])
    assert (str(worker), worker.cure) == (
        "airflow-worker-1 is stopped: 'kit resume' starts it",
        "'kit resume' starts it",
    )
    assert (str(broker), broker.cure) == ("valkey-1 is stopped: 'kit up' starts it", "'kit up' starts it")


@pytest.mark.parametrize(
    ("found", "workers", "told"),
    [
        ([part("airflow-worker-1")], [WORKER], []),
        ([part("airflow-worker-1"), part("airflow-worker-2", "stopped", False)], [WORKER], []),
        ([part("airflow-worker-1", "stopping", False)], [], ["airflow-worker-1 is stopping"]),
        ([part("airflow-worker-1")], [], ["airflow-worker-1 is not registered with the broker"]),
        ([part("airflow-worker-1")], None, []),
    ],
)
def test_a_worker_is_away_until_it_is_healthy_and_registered(found, workers, told):
    status = Status("embedded", tuple(_reasons([], found, workers)), tuple(workers or ()), tuple(found), {})
    assert [reason.text for reason in status.away(["airflow-worker-1"])] == told
