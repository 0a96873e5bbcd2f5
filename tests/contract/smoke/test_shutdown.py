"""Runs in: contract tests; warm, cold and hard shutdown of a worker that runs tasks."""

import os
import subprocess

import psutil
import pytest

from tests.contract.servers import START_SECONDS, wait_for
from tests.contract.smoke.harness import COLD, WARM

# How a worker is told to stop at once: by SIGQUIT, or by SIGTERM where that is remapped.
AT_ONCE = pytest.mark.parametrize(
    ("number", "environment"),
    [(COLD, {}), (WARM, {"REMAP_SIGTERM": "SIGQUIT"})],
    ids=["SIGQUIT", "remapped-SIGTERM"],
)
# Longer than what is known to take for ever would take otherwise.
PATIENCE = 6.0


def test_a_warm_shutdown_lets_every_running_task_finish(bench, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    worker = bench.start(slots=3, environment={"TMPDIR": str(shared)})
    assert list(shared.iterdir()) != []
    bench.hold("a", "b", "c")
    bench.send("note", "later")
    worker.send(WARM)
    worker.says("worker: Warm shutdown (MainProcess)")
    bench.open("a", "b", "c")
    assert worker.exits() == os.EX_OK
    assert [len(bench.receipts("end", name)) for name in ("a", "b", "c", "later")] == [1, 1, 1, 0]
    assert list(shared.iterdir()) == [], "it must leave no file behind"
    assert bench.broker.messages() == (1, 0)


def test_more_warm_shutdowns_do_nothing_more(bench):
    worker = bench.start()
    bench.hold("a")
    for times in (1, 2, 3):
        worker.send(WARM)
        worker.says("worker: Warm shutdown (MainProcess)", times=times)
        assert psutil.pid_exists(bench.receipts("start", "a")[0])
    bench.open("a")
    assert worker.exits() == os.EX_OK
    assert len(bench.receipts("end", "a")) == 1
    assert bench.broker.is_empty()


@AT_ONCE
def test_a_cold_shutdown_ends_the_task_and_gives_its_message_back(bench, number, environment):
    worker = bench.start(environment=environment)
    bench.hold("a")
    worker.send(number)
    assert worker.exits() == os.EX_OK
    worker.says("worker: Cold shutdown (MainProcess)")
    assert not psutil.pid_exists(bench.receipts("start", "a")[0])
    assert bench.receipts("end", "a") == []
    assert bench.broker.messages() == (1, 0)


def test_a_hard_shutdown_ends_a_warm_one(bench):
    worker = bench.start()
    bench.hold("a")
    worker.send(WARM)
    worker.says("worker: Warm shutdown (MainProcess)")
    assert psutil.pid_exists(bench.receipts("start", "a")[0])
    worker.send(COLD, COLD)
    ended_by_force(bench, worker)


@AT_ONCE
def test_a_hard_shutdown_ends_a_cold_one(bench, number, environment):
    worker = bench.start(environment=environment)
    bench.hold("a")
    worker.send(number)
    worker.says("worker: Hitting Ctrl+C again will terminate all running tasks!")
    worker.send(number)
    worker.says("Waiting gracefully for cold shutdown to complete...")
    ended_by_force(bench, worker)


@pytest.mark.xfail(
    strict=True,
    raises=subprocess.TimeoutExpired,
    reason="Celery 5.6.3 sends its pool SIGTERM alone, also in a hard shutdown, and waits for ever for a task that ignores it",
)
def test_a_hard_shutdown_ends_a_task_that_ignores_sigterm(bench):
    worker = bench.start()
    bench.hold("a", stubborn=True)
    worker.send(COLD)
    worker.says("worker: Hitting Ctrl+C again will terminate all running tasks!")
    worker.send(COLD)
    worker.says("Waiting gracefully for cold shutdown to complete...")
    worker.send(COLD)
    ended_by_force(bench, worker, PATIENCE)


def test_a_kill_ends_a_task_that_ignores_sigterm(bench):
    worker = bench.start()
    bench.hold("a", stubborn=True)
    (child,) = bench.receipts("start", "a")
    worker.process.kill()
    worker.exits()
    wait_for("the end of the task", lambda: not psutil.pid_exists(child))
    assert bench.broker.messages() == (0, 1)


def ended_by_force(bench, worker, within: float = START_SECONDS) -> None:
    """The worker and its task have ended, the task unfinished and its message not lost."""
    worker.exits(within)
    worker.says("worker: Cold shutdown (MainProcess)")
    assert not psutil.pid_exists(bench.receipts("start", "a")[0])
    assert bench.receipts("end", "a") == []
    assert sum(bench.broker.messages()) == 1
