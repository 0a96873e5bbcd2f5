"""Runs in: stack tests; what a worker holds, and where no secret may stand."""

import json
import re
from pathlib import Path
from typing import Any

import psutil
import pytest

from airflow_celery_kit.knobs import KNOBS
from airflow_celery_kit.runtimes import docker_engine
from tests.stack.harness.stack import Stack

FORBIDDEN = ("SQL_ALCHEMY_CONN", "JWT", "FERNET", "SECRET_KEY", "pgpass_metadata", "pgpass_scheduler")
JWT = re.compile(r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")


def secrets_of(stack: Stack) -> dict[str, str]:
    """Return every generated secret of the stack."""
    return {name: stack.settings[name] for name, knob in KNOBS.items() if knob.secret}


@pytest.fixture
def seen_by_a_task(stack: Stack) -> dict[str, Any]:
    """What a task finds around itself in a running worker."""
    run = stack.run_dag("worker_look")
    assert run["state"] == "success"
    entry = stack.api.get(
        f"/dags/worker_look/dagRuns/{run['run_id']}/taskInstances/look/xcomEntries/return_value", deserialize=False
    )
    value = entry["value"]
    return dict(json.loads(value) if isinstance(value, str) else value)


def test_a_worker_holds_neither_metadata_address_nor_jwt_key(stack: Stack, seen_by_a_task: dict[str, Any]) -> None:
    environment = seen_by_a_task["environment"]
    # Airflow names these itself in every task process, so that code that tries the database is told clearly.
    for name in [name for name, value in environment.items() if value == "airflow-db-not-allowed:///"]:
        del environment[name]
    text = json.dumps(seen_by_a_task["environment"])
    assert "AIRFLOW__CELERY__RESULT_BACKEND" in text
    assert [word for word in FORBIDDEN if word in text] == []
    if stack.runtime == "compose":
        assert seen_by_a_task["secrets"] == ["pgpass_worker", "valkey_password"]
    else:
        given = Path(seen_by_a_task["environment"]["PGPASSFILE"])
        roles = [line.split(":")[2:4] for line in given.read_text().splitlines()]
        assert roles == [["celery", "celery"], ["kit", "journal_writer"]]


def test_a_worker_opens_results_and_journal_and_no_other_database(seen_by_a_task: dict[str, Any]) -> None:
    doors = seen_by_a_task["doors"]
    assert (doors.pop("results"), doors.pop("journal")) == ("open", "open")
    for role in ("celery", "the journal's writer"):
        assert "does not have CONNECT privilege" in doors.pop(f"metadata as {role}")
    assert len(doors) == 2 and all("authentication failed" in said for said in doors.values()), doors


def test_no_secret_stands_in_a_command_line_or_environment(stack: Stack) -> None:
    secrets = secrets_of(stack)
    stack.run_dag("wide", {"tasks": 4, "seconds": 0})
    services, read = stack.instances(), 0
    for one in services:
        for process in (top := psutil.Process(one["pid"]), *top.children(recursive=True)):
            try:
                text = " ".join(process.cmdline()) + str(process.environ())
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            assert [name for name, value in secrets.items() if value in text] == [], one["instance"]
            read += 1
    assert read > len(services)


def test_no_secret_and_no_token_stands_in_a_log(stack: Stack) -> None:
    stack.run_dag("wide", {"tasks": 4, "seconds": 0})
    text = stack.kit("logs", "--lines", "100000").stdout
    assert "celery@" in text and len(text) > 10_000
    assert [name for name, value in secrets_of(stack).items() if value in text] == []
    assert JWT.findall(text) == []


def test_no_secret_stands_in_what_the_engine_tells(stack: Stack) -> None:
    if stack.runtime != "compose":
        files = (stack.root / "var" / "run").glob("*.conf")
        text = "".join(path.read_text() for path in files)
    else:
        text = (
            str(docker_engine.containers(stack.settings.project)) + stack.call(["docker", "compose", "config"]).stdout
        )
        text += "".join(
            docker_engine.run("history", "--no-trunc", f"{stack.settings.project}-{name}")
            for name in ("airflow", "postgres", "valkey")
        )
    assert text
    assert [name for name, value in secrets_of(stack).items() if value in text] == []
