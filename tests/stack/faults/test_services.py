"""Runs in: stack tests; databases, api-server, scheduler and controller that are killed, frozen or away."""

import contextlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from airflow_celery_kit import env_file
from tests.stack.faults import inject
from tests.stack.faults.conftest import WORKERS
from tests.stack.faults.evidence import Evidence
from tests.stack.faults.faults import Fault
from tests.stack.faults.health import await_told, told
from tests.stack.faults.test_workers import unfinished_on
from tests.stack.harness import record
from tests.stack.harness.load import Load
from tests.stack.harness.processes import alive
from tests.stack.harness.stack import Stack
from tests.stack.harness.wait import wait_for

SCHEDULER = "airflow-scheduler-1"
# By whose check each is told.
STOPPED = {
    SCHEDULER: "scheduler",
    "airflow-dag-processor-1": "dag-processor",
    "airflow-triggerer-1": "triggerer",
    "airflow-flower-1": "flower",
}


@pytest.mark.fault(Fault.RESULTS_AWAY)
def test_tasks_survive_a_results_database_that_is_away(evidence: Evidence) -> None:
    stack = evidence.stack
    load = evidence.load(tasks=36, seconds=8)
    load.wait_started(12)
    with (
        told(evidence, "results-database", "Unhealthy", "not currently accepting connections") as watch,
        inject.database_closed(stack, "celery"),
    ):
        wait_for("tasks that end meanwhile", lambda: len(load.receipts("end")) >= 12, 60)
        time.sleep(evidence.outage)
        connected = stack.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = 'celery'")
        evidence.struck(connected == [(0,)], "a database that nobody is in")
        await_told(watch)
    load.wait_ended()
    load.assert_undisturbed()


@pytest.mark.fault(Fault.POSTGRES_AWAY)
def test_tasks_survive_a_database_server_that_is_away(evidence: Evidence) -> None:
    outlive(evidence, "postgres-1", [evidence.load(tasks=36, seconds=12)], "metadata-database")


@pytest.mark.fault(Fault.POSTGRES_AWAY_WORKER_KILLED)
def test_no_event_is_lost_while_the_database_server_is_away_and_a_worker_dies(evidence: Evidence) -> None:
    stack, load = evidence.stack, evidence.load(tasks=36, seconds=12)
    load.wait_started(12)
    main = inject.main_process(stack, WORKERS[1])
    stack.kit("stop", "postgres-1")
    try:
        time.sleep(evidence.outage / 2)
        stack.kit("kill", WORKERS[1])
        inject.wait_gone([main])
        evidence.struck(not stack.instance("postgres-1").get("pid"), "a worker that died while the database was away")
        time.sleep(evidence.outage / 2)
        assert not stack.instance("postgres-1").get("pid")
    finally:
        stack.start_instance("postgres-1")
    stack.wait_ready()
    load.wait_ended(240)
    wait_for("every start on record", lambda: not record.untold([load]), 30, lambda: record.untold([load]))


@pytest.mark.fault(Fault.API_AWAY)
def test_tasks_survive_an_api_server_that_is_away(evidence: Evidence) -> None:
    long = evidence.load(tasks=5, seconds=evidence.outage + 20)
    long.wait_started(5)
    outlive(evidence, "airflow-apiserver-1", [evidence.load(tasks=50, seconds=6), long], "api-server")


def outlive(evidence: Evidence, name: str, loads: list[Load], check: str) -> None:
    """Stop what tasks report to until some have ended without it; health says so meanwhile."""
    stack, first = evidence.stack, loads[0]
    running = wait_for("some at once", lambda: len(now := first.unfinished()) >= 3 and now, 90, first.states)
    stack.kit("stop", name)
    evidence.struck(not stack.instance(name).get("pid"), f"{name} away")
    with told(evidence, check, "Unhealthy") as watch:
        try:
            wait_for("their ends", lambda: not running & first.unfinished(), 60, first.unfinished)
            time.sleep(evidence.outage)
            await_told(watch)
            assert not stack.instance(name).get("pid")
        finally:
            stack.start_instance(name)
        stack.wait_ready()
    for load in loads:
        load.wait_ended(240)
        load.assert_undisturbed()


@pytest.mark.fault(Fault.SCHEDULER_KILLED)
def test_a_killed_scheduler_finds_its_tasks_again(evidence: Evidence) -> None:
    load = evidence.load(tasks=36, seconds=25)
    load.wait_started(12)
    kill_scheduler(evidence)
    load.wait_ended()
    load.assert_undisturbed()


@pytest.mark.fault(Fault.SCHEDULER_AND_WORKER_KILLED)
def test_scheduler_and_worker_are_killed_together(evidence: Evidence) -> None:
    stack = evidence.stack
    load = evidence.load(tasks=36, seconds=25)
    load.wait_started(12)
    killed = unfinished_on(load, WORKERS[1])
    with ThreadPoolExecutor(1) as background:
        worker = inject.main_process(stack, WORKERS[1])
        background.submit(worker.kill)
        kill_scheduler(evidence)
    load.wait_ended(240)
    assert killed and load.second_attempts() == load.started_twice() == killed


def kill_scheduler(evidence: Evidence) -> None:
    """Kill the scheduler; another has its tasks in hand within a minute."""
    stack = evidence.stack
    before, at, main = newest_scheduler_job(stack), time.time(), inject.main_process(stack, SCHEDULER)
    stack.kit("kill", SCHEDULER)
    inject.wait_gone([main])
    evidence.struck(tasks_of_job(stack, before) > 0, "tasks of a scheduler that is dead")
    wait_for("another scheduler", lambda: newest_scheduler_job(stack) > before, 60)
    wait_for("its tasks in the other's hands", lambda: tasks_of_job(stack, before) == 0, 90)
    evidence.measure("adopted", time.time() - at, at_most=60)


def newest_scheduler_job(stack: Stack) -> int:
    """Return the id under which the newest scheduler runs."""
    return int(stack.sql("SELECT max(id) FROM job WHERE job_type = 'SchedulerJob'", database="airflow")[0][0])


def tasks_of_job(stack: Stack, job: int) -> int:
    """Return how many tasks under way belong to a scheduler."""
    statement = "SELECT count(*) FROM task_instance WHERE state IN ('queued', 'running') AND queued_by_job_id = %s"
    return int(stack.sql(statement, job, database="airflow")[0][0])


@pytest.mark.fault(Fault.SERVICES_STOPPED)
def test_each_service_that_is_away_is_told_by_name_and_well_again_after(evidence: Evidence) -> None:
    stack = evidence.stack
    for name, check in STOPPED.items():
        stack.kit("stop", name)
        evidence.struck(not stack.instance(name).get("pid"), f"{name} away")
        with told(evidence, check, "Unhealthy") as watch:
            try:
                await_told(watch)
            finally:
                stack.start_instance(name)
            wait_for(f"{name} to be well", lambda name=name: stack.instance(name).get("healthy"), 120)


@pytest.mark.fault(Fault.LEADER_KILLED)
def test_a_controller_leads_again_when_the_leader_is_killed(evidence: Evidence) -> None:
    stack = evidence.stack
    with two_controllers(stack) as leader:
        term, begun, victims = lease_term(stack), time.monotonic(), inject.tree(stack, leader)
        stack.kit("kill", leader)
        inject.wait_gone(victims)
        evidence.struck(not any(alive(one) for one in victims), "the leader dead")
        with told(evidence, "controller", "Degraded", "ended without a word") as watch:
            wait_for("another term", lambda: lease_term(stack) > term, 30)
            evidence.measure("led again", time.monotonic() - begun, at_most=15)
            await_told(watch)


@pytest.mark.fault(Fault.LEADER_FROZEN)
def test_another_controller_leads_and_acts_when_the_leader_is_frozen(evidence: Evidence) -> None:
    stack = evidence.stack
    with two_controllers(stack) as leader:
        frozen = [one for one in inject.tree(stack, leader) if "controller.main" in " ".join(one.cmdline())]
        with suspended(frozen), told(evidence, "controller", "Degraded", "ended without a word") as watch:
            evidence.struck(frozen[0].status() == psutil.STATUS_STOPPED, "a frozen leader")
            begun = time.monotonic()
            wait_for("another leader", lambda: stack.leader() not in ("", leader_name(stack, leader)), 30)
            evidence.measure("another leads", time.monotonic() - begun, at_most=15)
            await_told(watch)
        stepped_back = lambda: '"event": "lost"' in stack.log(leader, 50)  # noqa: E731
        wait_for("the old one to be told so", stepped_back, 30, lambda: stack.log(leader, 50))
        assert stack.leader() != leader_name(stack, leader), "the old one must not lead again"


@contextlib.contextmanager
def suspended(processes: list[psutil.Process]) -> Iterator[None]:
    """Let processes stand still."""
    try:
        for process in processes:
            process.suspend()
        wait_for("a frozen process", lambda: processes[0].status() == psutil.STATUS_STOPPED, 10)
        yield
    finally:
        for process in processes:
            process.resume()


@contextlib.contextmanager
def two_controllers(stack: Stack) -> Iterator[str]:
    """Two controllers for a while; gives the instance that leads."""
    have_controllers(stack, "2")
    try:
        wait_for("the second", lambda: stack.instance("airflow-controller-2").get("healthy"), 60)
        leader = wait_for("a leader", stack.leader, 30)
        yield leader[leader.index("airflow-controller") :]
    finally:
        have_controllers(stack, "1")


def have_controllers(stack: Stack, count: str) -> None:
    """Run so many controllers."""
    env_file.record(stack.settings, {"CONTROLLERS": count})
    stack.make("up")


def lease_term(stack: Stack) -> int:
    """Return the token of the lease, raised by each one that takes it over."""
    return int(stack.sql("SELECT token FROM kit.lease WHERE name = 'repair'", database="airflow")[0][0])


def leader_name(stack: Stack, instance: str) -> str:
    """Return what a controller calls itself in the lease: on Compose with its project before it."""
    return f"{stack.settings.project}-{instance}" if stack.runtime == "compose" else instance


def repairs(stack: Stack) -> list[dict]:
    """Return the controller's log lines that say what it repaired."""
    lines = stack.kit("logs", "airflow-controller", "--lines", "2000").stdout.splitlines()
    found = [json.loads(line[line.index("{") :]) for line in lines if '{"event"' in line]
    return [one for one in found if one["event"] in ("requeue", "free", "close")]


@pytest.mark.fault(Fault.NONE)
def test_without_faults_nothing_is_stuck_and_nothing_is_repaired(evidence: Evidence) -> None:
    stack = evidence.stack
    before = repairs(stack)
    load = evidence.load(tasks=36, seconds=1)
    load.wait_started(4)
    assert stack.kit_json("repair", "--dry-run") == {"stuck": []}
    load.wait_ended()
    load.assert_undisturbed()
    assert repairs(stack) == before
