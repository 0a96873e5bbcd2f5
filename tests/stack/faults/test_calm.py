"""Runs in: stack tests; under a normal load health has nothing to say: no alarm that is false."""

import time

import pytest

from tests.stack.faults import health
from tests.stack.faults.evidence import Evidence
from tests.stack.faults.faults import Fault
from tests.stack.harness.wait import wait_for

EVERY_SECONDS = 2.0
# In CI; at full length it is the row's.
SHORT_SECONDS = 30.0
TASKS_A_MINUTE = 100


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.fault(Fault.CALM)
def test_under_a_normal_load_nothing_is_called_ill(evidence: Evidence, request: pytest.FixtureRequest) -> None:
    stack = evidence.stack
    full = request.config.getoption("--faults") == "full"
    seconds = evidence.outage if full else SHORT_SECONDS
    wait_for(
        "a stack that is well", lambda: not health.ill(stack) and health.verdicts(stack), 120, lambda: health.ill(stack)
    )
    alarms, looks, minute = [], 0, 0.0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if time.monotonic() > minute:
            minute = time.monotonic() + 60
            evidence.load(tasks=TASKS_A_MINUTE, seconds=1)
        seen = health.verdicts(stack)
        assert seen or not full, "health must always say something"
        # Where other stacks run beside this one, Degraded is what is slow, or left of the row before: no false alarm.
        alarms += [one for one in seen if one["state"] != "Healthy" and (full or one["state"] != "Degraded")]
        looks += 1
        time.sleep(EVERY_SECONDS)
    for load in evidence.loads:
        load.wait_ended(300)
        load.assert_undisturbed()
    told = {(one["check"], one["subject"], one["state"], one["why"]) for one in alarms}
    assert not alarms, f"{len(alarms)} alarms in {looks} looks: {told}"
