"""What `kit repair` runs, on real databases and a real broker."""

import json
import os
import subprocess
import sys
import time

import pytest

from airflow_celery_kit.core.repair import CONFIRM_SECONDS
from tests.contract.tables import METADATA, ROW


@pytest.fixture
def kit_repair(ready):
    """Starts what `kit repair --dry-run` runs, with the environment of the controller; returns its process."""
    settings = ready.settings
    server = f"postgresql://kit@127.0.0.1:{settings['POSTGRES_PORT']}"
    environment = {
        "PATH": os.environ["PATH"],
        "PGPASSWORD": settings["KIT_DB_PASSWORD"],
        "KIT_METADATA_CONN": f"{server}/airflow",
        "KIT_RESULTS_CONN": f"{server}/celery",
        "AIRFLOW__CELERY__BROKER_URL": f"redis://127.0.0.1:{settings['VALKEY_PORT']}/0",
        "KIT_BROKER_USER": "kit",
        "KIT_BROKER_PASSWORD_FILE": str(settings.secrets / "controller_password"),
    }
    command = [sys.executable, "-m", "airflow_celery_kit.controller.main", "--once"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    yield lambda *more: subprocess.Popen([*command, *more], env=environment, **pipes)
    for table in ("task_instance", "kit.change"):
        ready.query(f"DELETE FROM {table}", **METADATA)


def test_the_operators_look_tells_only_what_stays_stuck(ready, kit_repair):
    for message in ("m1", "m2"):
        ready.query(ROW, "queued", message, **METADATA)
    looking = kit_repair()
    time.sleep(CONFIRM_SECONDS / 2)
    assert looking.poll() is None, "it must not tell at once"
    ready.query("UPDATE task_instance SET state = 'success' WHERE external_executor_id = 'm2'", **METADATA)
    said, _ = looking.communicate(timeout=CONFIRM_SECONDS * 3)
    assert [one["message"] for one in json.loads(said)["stuck"]] == ["m1"]


def test_what_is_repaired_is_on_record_with_the_reason(ready, kit_repair):
    ready.query(ROW, "queued", "m1", **METADATA)
    ready.query("DELETE FROM kit.change", **METADATA)
    said, _ = kit_repair("--act").communicate(timeout=CONFIRM_SECONDS * 3)
    assert [one["done"] for one in json.loads(said.splitlines()[-1])["stuck"]] == [True]
    told = "SELECT kind, source, task_id, message, facts FROM kit.change WHERE source = 'controller'"
    ((kind, source, task, message, facts),) = ready.query(told, **METADATA)
    assert (kind, source, task, message) == ("repaired", "controller", "load", "m1")
    assert facts == {"action": "requeue", "reason": "its message is in no queue and in no worker's hands"}


def test_what_a_full_broker_holds_is_not_believed(nearly_full, ready, kit_repair):
    ready.query(ROW, "queued", "m1", **METADATA)
    looking = kit_repair()
    said, why = looking.communicate(timeout=CONFIRM_SECONDS * 3)
    assert (looking.returncode, said) == (1, "")
    assert "is full" in why
