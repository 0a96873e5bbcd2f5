"""Runs in: contract tests; a pool process that dies is replaced, and the worker says why it died."""

import psutil
import pytest
from celery.exceptions import SoftTimeLimitExceeded

from tests.contract.servers import wait_for
from tests.contract.smoke.app import LIMIT_SECONDS

DEATHS = {
    "kill_self": "Worker exited prematurely: signal 9 (SIGKILL)",
    "exit_self": "Task handler raised error: SystemExit(1)",
    "overrun": f"Hard time limit ({LIMIT_SECONDS}s) exceeded for overrun",
}


@pytest.mark.parametrize(("task", "error"), DEATHS.items(), ids=DEATHS)
def test_a_child_that_dies_is_replaced_and_the_log_says_why(bench, task, error):
    worker = bench.start()
    (before,) = worker.children
    bench.send(task, "a")
    worker.says(error)
    assert bench.receipts("start", "a") == [before]
    wait_for("another child", lambda: len(worker.children - {before}) == 1)
    assert not psutil.pid_exists(before)
    bench.send("note", "next")
    bench.wait("end", "next")
    assert set(bench.receipts("end", "next")) == worker.children
    bench.drained()
    assert bench.receipts("end", "a") == []


def test_a_soft_time_limit_comes_before_the_hard_one(bench):
    worker = bench.start()
    before = worker.children
    bench.send("overrun_softly", "a")
    bench.wait("soft", "a")
    worker.says(f"Soft time limit ({LIMIT_SECONDS}s) exceeded for overrun_softly")
    worker.says(SoftTimeLimitExceeded.__name__)
    bench.drained()
    assert worker.children == before
    assert worker.count("Hard time limit") == 0


def test_a_soft_time_limit_above_the_hard_one_is_refused(bench):
    with pytest.raises(ValueError, match="soft_time_limit must be less than or equal to time_limit"):
        bench.sender.tasks["upside_down"].apply_async(["a"])
    assert bench.broker.is_empty()
