"""Runs in: stack tests; what a task counts of its own reaches the metrics, also from its last moment and its first attempt."""

import re

import pytest

from tests.stack.harness.stack import Stack
from tests.stack.harness.wait import wait_for
from tests.stack.test_journal import records


@pytest.mark.once
def test_what_a_task_counts_itself_is_counted_also_in_its_last_moment(stack: Stack) -> None:
    run = stack.start_dag("told")
    stack.wait_run("told", run)
    attempts = [one["id"] for one in records(stack, run_id=run, task_id="stumbles")]
    assert len(attempts) == 2
    for id in attempts:
        wait_for("all that it counted", lambda id=id: steps(stack, id) == 5, 20, lambda id=id: steps(stack, id))

    def scraped() -> float:
        found = re.findall(
            r'^kit_user_told_steps_total\{dag_id="told",foot="left"\} (.*)$',
            stack.api.http.get("/kit/v1/metrics").text,
            re.MULTILINE,
        )
        return float(found[0]) if found else 0.0

    assert wait_for("them in the metrics", lambda: scraped() >= 10, 40, scraped) and scraped() % 5 == 0


def steps(stack: Stack, id: str) -> float:
    """How much an attempt has counted, in its events."""
    events = stack.api.kit(f"/tasks/{id}/events")["events"]
    return sum(one["value"] for event in events if event["kind"] == "metric" for one in event["facts"]["series"])
