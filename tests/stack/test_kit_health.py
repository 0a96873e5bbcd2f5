"""Runs in: stack tests; `kit health` and its page: a whole stack is well, a part that is missing is named with its cure, and well again after."""

import json

import httpx
import pytest

from airflow_celery_kit import env_file
from tests.stack.faults.health import ill, verdicts
from tests.stack.harness.stack import Stack
from tests.stack.harness.wait import wait_for

# What every stack of the kit is judged by.
CHECKS = {
    "metadata-database", "results-database", "journal-database", "broker", "scheduler", "dag-processor", "triggerer", "api-server", "flower",
    "controller", "workers", "canary", "deaths", "clock", "secrets", "versions",
}  # fmt: skip


def whole(stack: Stack) -> None:
    """Wait until everything was looked at and is well."""
    stack.wait_ready()
    wait_for(
        "health",
        lambda: {one["check"] for one in verdicts(stack)} >= CHECKS and not ill(stack),
        120,
        lambda: ill(stack),
    )


def word(stack: Stack, which: str) -> int:
    """What a load balancer gets."""
    return httpx.get(f"{stack.settings.url('AIRFLOW_PORT')}/kit/v1/health/{which}", trust_env=False).status_code


def test_a_whole_stack_is_well_and_each_queue_lets_a_canary_through(stack: Stack) -> None:
    whole(stack)
    ended = stack.kit("health", "--json")
    said = json.loads(ended.stdout)
    assert (said["state"], said["ready"], said["stale"]) == ("Healthy", True, False)
    through = lambda: {one["subject"]: one["why"] for one in verdicts(stack) if one["check"] == "canary"}  # noqa: E731
    wait_for("canaries", lambda: sum("through in" in why for why in through().values()) >= 2, 90, through)
    assert set(through()) >= {"default", "heavy"}
    assert "Healthy" in stack.kit("health").stdout and "\x1b" not in stack.kit("health").stdout
    assert [stack.kit("health", f"--{which}").returncode for which in ("ready", "live")] == [0, 0]
    assert (word(stack, "ready"), word(stack, "live")) == (200, 200)


@pytest.mark.parametrize("stack", ["embedded"], indirect=True)
def test_a_part_that_is_missing_is_named_with_its_cure_and_the_exit_code_says_so(stack: Stack) -> None:
    whole(stack)
    stack.kit("stop", "airflow-triggerer-1")
    try:
        wait_for(
            "the triggerer to be told", lambda: any(one[0] == "triggerer" for one in ill(stack)), 60, lambda: ill(stack)
        )
        ended = stack.kit("health", check=False)
        assert ended.returncode == 1 and "triggerer" in ended.stdout and "kit logs airflow-triggerer" in ended.stdout
        assert stack.kit("health", "--ready", check=False).returncode == 0, "tasks can run"
    finally:
        stack.start_instance("airflow-triggerer-1")
    whole(stack)


@pytest.mark.parametrize("stack", ["embedded"], indirect=True)
def test_without_an_api_server_or_a_controller_somebody_still_says(stack: Stack) -> None:
    whole(stack)
    stack.kit("stop", "airflow-apiserver-1")
    try:
        ended = stack.kit("health", "--json", check=False)
        said = {one["check"]: one["state"] for one in json.loads(ended.stdout)["verdicts"]}
        assert (ended.returncode, said["api-server"], said["broker"]) == (1, "Unhealthy", "Healthy")
        assert stack.kit("health", "--live", check=False).returncode == 1
    finally:
        stack.start_instance("airflow-apiserver-1")
    whole(stack)
    stack.kit("stop", "airflow-controller-1")
    try:
        wait_for("verdicts that are old", lambda: word(stack, "ready") == 503, 60)
        ended = stack.kit("health", "--json", check=False)
        said = json.loads(ended.stdout)
        assert ended.returncode == 1
        assert (said["state"], said["ready"], said["stale"], said["verdicts"][0]["check"]) == (
            "Unhealthy",
            False,
            True,
            "health",
        )
    finally:
        stack.start_instance("airflow-controller-1")
    whole(stack)


OWN = """
from airflow_celery_kit.core.health import Cause, State
from airflow_celery_kit.health.check import Check


class Moon(Check):
    name, causes = "moon", {"far": Cause(State.DEGRADED, "it is far away", "wait")}

    def look(self):
        return [self.ill("far", "384,400 km")]
"""


@pytest.mark.last
@pytest.mark.parametrize("stack", ["embedded"], indirect=True)
def test_a_check_of_one_s_own_is_in_force_after_up_and_what_is_unchanged_runs_on(stack: Stack) -> None:
    (stack.root / "plugins" / "moon.py").write_text(OWN)
    before = {one["instance"]: one["pid"] for one in stack.instances()}
    env_file.record(stack.settings, {"HEALTH_CHECKS": "moon.Moon"})
    assert "these start anew with changed settings" in stack.kit("up").stderr
    try:
        wait_for(
            "its verdict", lambda: ("moon", "moon", "Degraded", "384,400 km") in ill(stack), 60, lambda: ill(stack)
        )
    finally:
        env_file.record(stack.settings, {"HEALTH_CHECKS": ""})
        stack.kit("up")
    after = {one["instance"]: one["pid"] for one in stack.instances()}
    assert {name for name, pid in after.items() if pid != before[name]} == {"airflow-controller-1"}
