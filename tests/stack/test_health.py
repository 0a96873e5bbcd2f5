"""Runs in: stack tests; health checks are cheap, and false when the service cannot do its job."""

import json
import statistics
import subprocess
import sys

import pytest

from airflow_celery_kit.runtimes import docker_engine
from airflow_celery_kit.runtimes.embedded import PROBES, _airflow_probe
from tests.slack import most_for_a_check
from tests.stack.harness.stack import Stack
from tests.stack.harness.wait import wait_for

MEASURE = """
import json, resource, subprocess, sys
used = []
for _ in range(5):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = subprocess.run(json.loads(sys.argv[1]), stdout=subprocess.DEVNULL).returncode
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
print(json.dumps([code, used]))
"""


def cost_of(command: list[str], environment: dict[str, str]) -> tuple[int, list[float]]:
    """Run a command five times as a service would; return its exit code and the CPU seconds of each."""
    measuring = [sys.executable, "-c", MEASURE, json.dumps(command)]
    ended = subprocess.run(measuring, env=environment, capture_output=True, text=True, check=True)
    code, used = json.loads(ended.stdout.strip().splitlines()[-1])
    return code, used


def measured(stack: Stack, instance: str) -> tuple[int, list[float]]:
    """Run an instance's health check five times; return its exit code and the CPU seconds of each."""
    if stack.runtime == "embedded":
        command, environment = PROBES.get(instance, _airflow_probe)(stack.settings, instance)
        command[0] = command[0] if instance == "postgres-1" else str(stack.root / ".venv/bin/python")
        return cost_of(command, environment)
    description = docker_engine.inspect(f"{stack.settings.project}-{instance}")[0]
    check = description["Config"]["Healthcheck"]["Test"][1:]
    python = "python" if instance.startswith("airflow-") else "python3"
    ended = stack.call(["docker", "exec", description["Id"], python, "-c", MEASURE, json.dumps(check)])
    code, used = json.loads(ended.stdout.strip().splitlines()[-1])
    return code, used


def test_each_check_passes_and_costs_at_most_a_tenth_of_a_second(stack: Stack) -> None:
    stack.wait_ready()
    found = {one["instance"]: measured(stack, one["instance"]) for one in stack.instances()}
    assert {name: code for name, (code, _) in found.items()} == dict.fromkeys(found, 0)
    limit = most_for_a_check()
    costs = {name: statistics.median(used) for name, (_, used) in found.items()}
    assert {name: cost for name, cost in costs.items() if cost > limit} == {}


@pytest.mark.parametrize(
    ("frozen", "sufferers"),
    [
        ("valkey-1", {"valkey-1", "airflow-flower-1"}),
        ("postgres-1", {"postgres-1", "airflow-scheduler-1", "airflow-apiserver-1"}),
    ],
)
def test_checks_fail_while_a_server_is_frozen_and_pass_again_after_but_those_of_workers_do_not(
    stack: Stack, frozen: str, sufferers: set[str]
) -> None:
    stack.wait_ready()
    pid = stack.instance(frozen)["pid"]
    try:
        freeze(pid, "STOP")
        wait_for(
            f"{sufferers} to fail",
            lambda: sufferers <= {one["instance"] for one in stack.instances() if one["healthy"] is False},
            90,
            lambda: stack.status()["reasons"],
        )
        assert [
            one["detail"] for one in stack.instances() if one["service"] == "airflow-worker" and not one["healthy"]
        ] == []
    finally:
        freeze(pid, "CONT")
    stack.wait_ready()


def freeze(pid: int, signal: str) -> None:
    """Send a signal to a process and its children: PostgreSQL answers from children, and some of them come and go."""
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    grandchildren = [
        line
        for child in children
        for line in subprocess.run(["pgrep", "-P", child], capture_output=True, text=True, check=False).stdout.split()
    ]
    subprocess.run(["kill", f"-{signal}", str(pid)], check=True)
    subprocess.run(["kill", f"-{signal}", *children, *grandchildren], check=False)
