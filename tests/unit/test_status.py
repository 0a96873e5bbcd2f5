"""Why a stack is not ready, from what its parts report."""

import pytest

from airflow_celery_kit.clients import Worker
from airflow_celery_kit.runtimes.base import Instance
from airflow_celery_kit.status import _reasons


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
