"""Runs in: stack tests; what only containers have: confinement, and Compose used without kit."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from airflow_celery_kit.runtimes import docker_engine
from tests.stack.harness.stack import Stack
from tests.stack.harness.wait import wait_for
from tests.stack.harness.workspace import copy_checkout

CONFINED = "id -u; touch /probe 2>&1; grep -E 'CapEff|NoNewPrivs' /proc/self/status"


@pytest.fixture
def compose(stack: Stack) -> Stack:
    """The Compose stack."""
    if stack.runtime != "compose":
        pytest.skip("the embedded runtime has no containers")
    return stack


def test_every_container_is_confined(compose: Stack) -> None:
    for one in compose.instances():
        seen = compose.call(["docker", "exec", one["container"], "sh", "-c", CONFINED]).stdout
        lines = seen.split()
        assert lines[0] == compose.settings["KIT_UID"] != "0", one["instance"]
        assert "Read-only file system" in seen, one["instance"]
        assert lines[lines.index("CapEff:") + 1].strip("0") == "", one["instance"]
        assert lines[lines.index("NoNewPrivs:") + 1] == "1", one["instance"]


def test_a_worker_knows_its_own_share_of_the_machine(compose: Stack) -> None:
    code = "from airflow_celery_kit.worker.cpu import limit, used_seconds; print(limit(), used_seconds() > 0)"
    said = compose.inside("airflow-worker-1", code).stdout.split()
    assert said == [str(float(compose.settings["WORKER_CPUS"])), "True"]


def test_limits_restart_policy_and_log_rotation_reach_the_engine(compose: Stack) -> None:
    for description in docker_engine.containers(compose.settings.project):
        host, name = description["HostConfig"], description["Name"]
        assert host["Memory"] > 0 and host["NanoCpus"] > 0 and host["PidsLimit"] > 0, name
        assert host["LogConfig"]["Config"]["max-size"], name
        wanted = "on-failure" if "airflow-init" in name else "unless-stopped"
        assert host["RestartPolicy"]["Name"] == wanted, name
        for bindings in (host["PortBindings"] or {}).values():
            assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}, name


def test_prometheus_of_its_profile_scrapes_the_kit_and_watches_its_alerts(compose: Stack) -> None:
    def ask(path: str, **query: str) -> Any:
        address = f"http://127.0.0.1:{compose.settings['PROMETHEUS_PORT']}/api/v1/{path}"
        return httpx.get(address, params=query).raise_for_status().json()["data"]

    wait_for("a scrape", lambda: ask("query", query="sum(kit_queue_slots) > 0")["result"], 60, lambda: ask("targets"))
    (target,) = ask("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    watched = {rule["name"]: rule["health"] for group in ask("rules")["groups"] for rule in group["rules"]}
    written = yaml.safe_load((compose.root / "config/prometheus/alerts.yml").read_text())
    assert set(watched) == {
        rule.get("alert", rule.get("record")) for group in written["groups"] for rule in group["rules"]
    }
    assert set(watched.values()) <= {"ok", "unknown"}, watched


def test_valkey_keeps_an_append_only_file_and_evicts_nothing(compose: Stack) -> None:
    code = (
        "import os, redis;"
        "c = redis.Redis(host='valkey', username='airflow', password=open(os.environ['KIT_BROKER_PASSWORD_FILE']).read());"
        "i = c.info(); print(i['aof_enabled'], i['maxmemory_policy'])"
    )
    assert compose.inside("airflow-scheduler-1", code).stdout.split() == ["1", "noeviction"]
    stranger = code.replace("username='airflow', password=open(os.environ['KIT_BROKER_PASSWORD_FILE']).read()", "db=0")
    refused = compose.inside("airflow-scheduler-1", stranger)
    assert "AuthenticationError" in refused.stderr and not refused.stdout


def test_without_init_compose_refuses_with_one_line_that_says_what_to_run(compose: Stack, tmp_path: Path) -> None:
    fresh = copy_checkout(tmp_path / "fresh")
    ended = Stack(fresh, "compose").call(["docker", "compose", "up", "-d"], check=False)
    assert ended.returncode != 0
    said = [line for line in ended.stderr.strip().splitlines() if "level=warning" not in line]
    assert len(said) == 1 and "kit init" in said[0], ended.stderr


def test_an_empty_secret_keeps_a_container_from_starting(compose: Stack) -> None:
    image = f"{compose.settings.project}-airflow"
    empty = compose.root / "empty"
    empty.touch()
    ended = compose.call(
        ["docker", "run", "--rm", "--volume", f"{empty}:/run/secrets/fernet_key:ro", image]
        + ["python", "-m", "airflow_celery_kit.runtimes.container_start", "airflow", "version"],
        check=False,
    )
    assert ended.returncode == 78
    assert ended.stderr.strip() == "secrets fernet_key are empty or not readable: run 'kit init', then start again"


def test_one_image_serves_all_airflow_services_and_holds_what_the_lock_names(compose: Stack) -> None:
    code = "import importlib.metadata as m, json; print(json.dumps({d.name.lower().replace('_','-'): d.version for d in m.distributions()}))"
    installed = json.loads(compose.inside("airflow-scheduler-1", code).stdout)
    locked = dict(
        line.split(";")[0].strip(" \\").split("==")
        for line in (compose.root / "requirements.lock").read_text().splitlines()
        if "==" in line
    )
    different = {
        name: (version, locked[name])
        for name, version in installed.items()
        if name in locked and locked[name] != version
    }
    assert different == {} and len(installed) > 100
    assert set(installed) - set(locked) <= {"airflow-celery-kit", "pip"}
