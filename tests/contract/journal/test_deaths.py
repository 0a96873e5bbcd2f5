"""Runs in: contract tests; tasks whose process was killed, and what was repaired, as health tells of it by the journal."""

import itertools
import time
import uuid

import pytest

from airflow_celery_kit.controller.sight import Connections
from airflow_celery_kit.core.health import State
from airflow_celery_kit.health.deaths import Deaths

ON_WHEELS_ALONE = True

KILLED = {
    "kind": "lost",
    "source": "worker",
    "worker": "worker-1",
    "facts": {"error": "its process was killed by SIGKILL"},
}
LEFT = KILLED | {"facts": {"error": "its worker left", "leaving": True}}
REPAIRED = {"kind": "repaired", "source": "controller", "facts": {"action": "requeue", "reason": "its message is gone"}}


@pytest.mark.parametrize(
    ("events", "why"),
    [
        (
            [KILLED, KILLED | {"worker": "worker-2"}],
            "2 tasks on worker-1, worker-2, the last one: its process was killed by SIGKILL",
        ),
        ([LEFT], "1 task on worker-1: its worker left before it had ended"),
        ([LEFT, LEFT], "2 tasks on worker-1: their worker left before they had ended"),
        (
            [LEFT, LEFT | {"worker": "worker-2"}],
            "2 tasks on worker-1, worker-2: their workers left before they had ended",
        ),
        ([REPAIRED], "1 task: its message is gone"),
        ([REPAIRED, LEFT, KILLED], "1 task on worker-1: its process was killed by SIGKILL"),
        ([KILLED | {"age": 21}], None),
        ([KILLED | {"kind": "started"}], None),
    ],
)
def test_tasks_whose_process_was_killed_and_what_was_repaired_are_told_for_a_while(judging, events, why):
    one = judging(events)
    assert one.state == (State.HEALTHY if why is None else State.DEGRADED) and (why is None or one.why == why)


@pytest.fixture
def judging(journal, monkeypatch):
    """Writes events of now, and looks at them as the controller's role."""
    address = journal.address("kit")
    monkeypatch.setenv("KIT_JOURNAL_CONN", address)
    number = itertools.count()

    def judge(events):
        for one in events:
            said = {
                "id": str(uuid.uuid4()),
                "at": time.time() - one.get("age", 0) + next(number) / 1e6,
                "task": str(uuid.uuid4()),
                "facts": {},
            }
            journal.write(said | {key: value for key, value in one.items() if key != "age"})
        (found,) = Deaths().look(Connections().journal)
        return found

    return judge
