"""Runs in: contract tests; the loop of a controller: who leads writes, verdicts outlast a change of leaders, own checks, one look by hand."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airflow_celery_kit.core.health import State, Verdict
from airflow_celery_kit.health import main
from airflow_celery_kit.health.main import Loop, from_environment
from tests.contract.servers import wait_for
from tests.contract.tables import METADATA

ON_WHEELS_ALONE = True
OWN = "backlog.Backlog, no_such.Thing,os.path"
REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def told() -> list[dict]:
    """What was said."""
    return []


@pytest.fixture
def loop(controller, told) -> Loop:
    """A loop with all checks that this deployment has what it takes for, which look as often as they can."""
    made = Loop(from_environment(controller, lambda event, **facts: told.append({"event": event} | facts)))
    for looker in made.health.lookers:
        looker.check.every = 0.2
    yield made
    made.connections.drop()


def kept(stack) -> dict[str, dict]:
    """The verdicts on record by subject; clocks have the same subjects."""
    rows = stack.query("SELECT facts FROM kit.seen WHERE what = 'health'", **METADATA)
    return {one["subject"]: one for one in rows[0][0]["verdicts"] if one["check"] != "clock"} if rows else {}


def turn_until(loop: Loop, stack, right, seconds: float = 20) -> dict[str, dict]:
    """Turn until what is on record is right; give it."""

    def look() -> bool:
        loop.turn(time.monotonic(), time.time())
        return right(kept(stack))

    wait_for("verdicts that are right", look, seconds)
    return kept(stack)


def test_verdicts_are_kept_and_change_with_what_is_so(loop, measured, reports, told, monkeypatch):
    monkeypatch.setattr(main, "WRITE_SECONDS", 0.2)
    reports(life=60)
    before = turn_until(
        loop, measured, lambda seen: seen.get("worker-1", {}).get("state") == "Healthy" and "versions" in seen
    )
    assert before["scheduler"]["why"] == "none runs"
    reports(life=60, deaf=True)
    ill = turn_until(loop, measured, lambda seen: seen["worker-1"]["state"] == "Unhealthy")
    assert (
        ill["worker-1"]["since"] > before["worker-1"]["since"] and ill["broker"]["since"] == before["broker"]["since"]
    )
    reports(life=60)
    turn_until(loop, measured, lambda seen: seen["worker-1"]["state"] == "Healthy")
    said = [(one["state"]) for one in told if (one.get("check"), one.get("subject")) == ("workers", "worker-1")]
    assert said == ["Unhealthy", "Healthy"]
    measured.valkey.delete("kit:worker:worker-1")
    measured.valkey.set("kit:left:worker-1", "told")
    turn_until(loop, measured, lambda seen: "worker-1" not in seen)
    canary = next(one.check for one in loop.health.lookers if one.check.name == "canary")
    canary.seconds["default"] = 0.25
    read = "SELECT facts -> 'canary_seconds' FROM kit.seen WHERE what = 'health'"
    turn_until(loop, measured, lambda _: measured.query(read, **METADATA) == [({"default": 0.25},)])


def test_only_who_leads_looks_and_who_takes_over_goes_on(loop, measured, reports, controller, monkeypatch):
    reports(life=60)
    seen = turn_until(loop, measured, lambda seen: "worker-1" in seen and "broker" in seen)
    monkeypatch.setenv("KIT_INSTANCE", "controller-2")
    other = Loop(from_environment(controller, lambda *_, **__: None))
    other.turn(time.monotonic(), time.time())
    assert other.token is None and not any(one.thread for one in other.health.lookers)
    measured.query("UPDATE kit.lease SET expires_at = now() - interval '1 s' WHERE name = 'health'", **METADATA)
    turn_until(other, measured, lambda seen: other.token is not None and "broker" in seen, 15)
    assert kept(measured)["broker"]["since"] == seen["broker"]["since"]
    workers = next(one.check for one in other.health.lookers if one.check.name == "workers")
    assert "worker-1" in workers.seen
    other.connections.drop()


def test_who_had_lost_the_lease_to_another_one_without_seeing_it_goes_on_from_what_that_one_knew(loop, measured):
    turn_until(loop, measured, lambda seen: "broker" in seen)
    measured.query(
        "UPDATE kit.lease SET holder = 'other', token = token + 1, expires_at = now() - interval '1 s' WHERE name = 'health'",
        **METADATA,
    )
    known = Verdict("broker", "broker", State.HEALTHY, 1.0, "").as_dict()
    measured.query("UPDATE kit.seen SET at = now(), facts = %s", json.dumps({"verdicts": [known]}), **METADATA)
    loop.asked = float("-inf")
    loop.turn(time.monotonic(), time.time())
    assert [one.since for one in loop.health.verdicts()] == [1.0]


def test_a_check_of_ones_own_is_loaded_from_the_folder_of_plugins_and_one_that_cannot_be_is_told(controller):
    environment = controller | {
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "KIT_HEALTH_CHECKS": OWN,
    }
    health = from_environment(environment, lambda *_, **__: None)
    health.lookers = [one for one in health.lookers if one.check.name.startswith("own-check ")]

    def looked() -> bool:
        health.turn(time.monotonic(), time.time())
        return health.whole

    wait_for("a look at all of them", looked, 20)
    seen = {one.check: one for one in health.verdicts()}
    assert seen["backlog"].state == State.HEALTHY and len(seen) == 3
    for name, why in (("no_such.Thing", "No module named 'no_such'"), ("os.path", "no check with a name")):
        one = seen[f"own-check {name}"]
        assert one.state == State.DEGRADED and why in one.why


def test_one_look_by_hand_says_the_same_without_a_leader(controller, reports, measured):
    reports(life=60)
    environment = controller | {"PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "airflow_celery_kit.health.main"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    said = {one["subject"]: one["state"] for one in json.loads(ended.stdout)["verdicts"]}
    assert (said["worker-1"], said["metadata-database"], said["scheduler"]) == ("Healthy", "Healthy", "Unhealthy")
    assert kept(measured) == {}
