"""Runs in: stack tests; short tasks without end while something breaks every minute."""

import random
import time
from collections.abc import Callable

import pytest

from tests.stack.faults import inject
from tests.stack.faults.attempts import Kills, unexplained
from tests.stack.faults.conftest import WORKERS
from tests.stack.faults.evidence import Evidence
from tests.stack.faults.faults import Fault
from tests.stack.faults.test_broker import answers
from tests.stack.harness import record
from tests.stack.harness.processes import alive
from tests.stack.harness.wait import wait_for

TASKS_A_MINUTE = 100
SHORT_MINUTES, SHORT_TASKS = 1, 50
AWAY_SECONDS = 20.0


def away(instance: str) -> Callable[[Evidence], None]:
    """Return the fault that stops an instance for a while."""

    def fault(evidence: Evidence) -> None:
        evidence.stack.kit("stop", instance)
        time.sleep(AWAY_SECONDS)
        evidence.struck(not evidence.stack.instance(instance).get("pid"), f"{instance} away")
        evidence.stack.start_instance(instance)

    return fault


def killed(instance: str) -> Callable[[Evidence], None]:
    """Return the fault that kills an instance's whole tree."""

    def fault(evidence: Evidence) -> None:
        victims = inject.tree(evidence.stack, instance)
        evidence.stack.kit("kill", instance)
        inject.wait_gone(victims)
        evidence.struck(not any(alive(one) for one in victims), f"{instance} dead")

    return fault


def frozen(evidence: Evidence) -> None:
    """Let the broker stand still for a while."""
    with inject.frozen(evidence.stack, "valkey-1"):
        time.sleep(AWAY_SECONDS)
        evidence.struck(not answers(evidence.stack), "a broker that does not answer")


FAULTS: dict[str, Callable[[Evidence], None]] = {
    **{f"{worker} killed": killed(worker) for worker in WORKERS},
    **{f"{worker} stopped": away(worker) for worker in WORKERS},
    "broker killed": killed("valkey-1"),
    "broker away": away("valkey-1"),
    "broker frozen": frozen,
    "scheduler killed": killed("airflow-scheduler-1"),
    "api-server away": away("airflow-apiserver-1"),
    "PostgreSQL away": away("postgres-1"),
    "controller killed": killed("airflow-controller-1"),
}


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.fault(Fault.SOAK)
def test_nothing_is_lost_while_something_breaks_every_minute(
    evidence: Evidence, request: pytest.FixtureRequest
) -> None:
    full = request.config.getoption("--faults") == "full"
    minutes, tasks = (round(evidence.outage / 60), TASKS_A_MINUTE) if full else (SHORT_MINUTES, SHORT_TASKS)
    seed = random.SystemRandom().randrange(1_000_000)
    chosen = draw(random.Random(seed), minutes)
    print(f"seed {seed}: {', '.join(chosen)}")
    kills = Kills()
    for name in chosen:
        minute = time.monotonic() + 60
        wait_for("Airflow to answer", lambda: evidence.stack.instance("airflow-apiserver-1").get("healthy"), 120)
        evidence.load(tasks=tasks, seconds=1)
        time.sleep(10)
        with kills.of(name.removesuffix(" killed")):
            FAULTS[name](evidence)
        time.sleep(max(0.0, minute - time.monotonic()))
    evidence.stack.wait_ready()
    compare(evidence, kills)


def draw(dice: random.Random, minutes: int) -> list[str]:
    """Return a fault for each minute; none comes again before every other has had its turn."""
    chosen: list[str] = []
    while len(chosen) < minutes:
        chosen += dice.sample(sorted(FAULTS), len(FAULTS))
    return chosen[:minutes]


def compare(evidence: Evidence, kills: Kills) -> None:
    """Compare what was sent with what finished: all of it, twice only where a kill is on record, nothing in limbo."""
    for load in evidence.loads:
        load.wait_ended(600)
    assert unexplained(evidence.loads, kills) == []
    wait_for(
        "every start on record", lambda: not record.untold(evidence.loads), 30, lambda: record.untold(evidence.loads)
    )
    limbo = evidence.stack.sql(
        "SELECT count(*) FROM task_instance WHERE state IN ('scheduled', 'queued', 'running')", database="airflow"
    )
    assert limbo == [(0,)]
    assert evidence.stack.kit_json("repair", "--dry-run") == {"stuck": []}
