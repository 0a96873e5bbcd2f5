"""Runs in: contract tests; what a worker with somebody else's settings of Celery says of its messages, where it has the journal alone."""

import json
import uuid
from collections import defaultdict

import pytest

from tests.contract.servers import wait_for

ALONE = {"imports": ["airflow_celery_kit.worker.celery_command"]}
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


def workload(what: str) -> str:
    """What Airflow sends, as far as anybody reads it."""
    ti = {"id": str(uuid.uuid4()), "dag_id": "d", "run_id": "r", "task_id": what, "map_index": -1, "try_number": 2}
    return json.dumps({"type": "ExecuteTask", "ti": ti, "token": "hush"})


@pytest.fixture
def here(tmp_path):
    """The one setting, and where Airflow is at home."""
    return {"KIT_JOURNAL_CONN": NOWHERE, "AIRFLOW_HOME": str(tmp_path / "home")}


def told(home) -> dict[str, list[str]]:
    """What was said of each task, in order; the database is away, so all of it waits."""
    files = (home / "kit-spool" / "workers").glob("*")
    events = [json.loads(line) for file in files for line in file.read_text().split("\n") if line]
    found = defaultdict(list)
    for event in sorted(events, key=lambda one: one["at"]):
        assert (event["source"], event["attempt"], event["worker"]) == ("worker", 2, "smoke@w1") and event["message"]
        found[event["task_id"]].append(event["kind"])
    return dict(found)


@pytest.mark.parametrize("events", [False, True], ids=["events off", "events on"])
def test_each_step_of_a_message_is_told_once(bench, here, tmp_path, events):
    bench.start(environment=here, worker_send_task_events=events, task_acks_on_failure_or_timeout=True, **ALONE)
    gone = bench.send("execute_workload", workload("holds"), countdown=3)
    bench.sender.control.revoke(gone)
    for what in ("ends", "breaks", "kills"):
        bench.send("execute_workload", workload(what))
    wanted = {
        "ends": ["received", "started", "succeeded"], "breaks": ["received", "started", "broke"],
        "kills": ["received", "started", "lost", "broke"], "holds": ["received", "revoked"],
    }  # fmt: skip
    home = tmp_path / "home"
    wait_for("the last of them", lambda: {name: len(said) for name, said in told(home).items()} == {
        name: len(said) for name, said in wanted.items()
    })  # fmt: skip
    assert {name: sorted(said) for name, said in told(home).items()} == {n: sorted(s) for n, s in wanted.items()}
    assert "hush" not in "".join(file.read_text() for file in (home / "kit-spool" / "workers").glob("*"))


def test_without_the_setting_a_worker_is_left_alone(bench, tmp_path):
    bench.start(environment={"AIRFLOW_HOME": str(tmp_path / "home")}, **ALONE)
    bench.send("execute_workload", workload("ends"))
    bench.wait("end", "ends")
    assert not (tmp_path / "home").exists()


def test_where_no_journal_can_be_kept_tasks_run_all_the_same(bench, tmp_path):
    (tmp_path / "home").touch()
    worker = bench.start(environment={"AIRFLOW_HOME": str(tmp_path / "home"), "KIT_JOURNAL_CONN": NOWHERE}, **ALONE)
    bench.send("execute_workload", workload("ends"))
    bench.wait("end", "ends")
    assert worker.count("is left out, Airflow's own way stays") == 1
