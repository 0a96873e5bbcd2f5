"""Runs in: stack tests; what is on record of tasks and workflows, and what people do to them (F3, F5, F7, F8, F10, R3, R4)."""

import json
import re
import time
from collections import Counter
from typing import Any

import httpx
import psutil
import pytest

from tests.stack.harness import record
from tests.stack.harness.processes import alive
from tests.stack.harness.stack import Stack, file_name
from tests.stack.harness.wait import wait_for

BELIEVED = "SELECT id::text, state FROM task_instance WHERE dag_id = %s AND run_id = %s"
SECRET = "hush-hush-hush"


def records(stack: Stack, **wanted: Any) -> list[dict[str, Any]]:
    """The attempts on record."""
    return list(stack.api.kit("/tasks", limit=500, **wanted)["tasks"])


def settled(stack: Stack, dag: str, run: str) -> dict[str, dict[str, Any]]:
    """The newest attempt of each task of a run that has ended, by task, once the journal says the same as Airflow of all of them."""

    record.wait_same(stack, dag, run)
    return {one["task_id"]: one for one in records(stack, dag_id=dag, run_id=run) if not one["replaced_by"]}


@pytest.fixture(scope="module")
def told(stack: Stack) -> dict[str, Any]:
    """A run of the workflow with every kind of end, ended."""
    stack.wait_ready()
    (stack.output / "told" / "right").unlink(missing_ok=True)
    run = stack.start_dag("told")
    assert stack.wait_run("told", run) == "failed"
    return {"run_id": run, "tasks": settled(stack, "told", run)}


def test_every_kind_of_end_is_on_record(stack: Stack, told: dict[str, Any]) -> None:
    assert {name: one["status"] for name, one in told["tasks"].items()} == {
        "first": "SUCCESS", "stumbles": "SUCCESS", "breaks": "FAILURE", "after": "CANCELLED", "nothing": "NO_DATA", "too_long": "TIMEOUT",
    }  # fmt: skip
    (earlier,) = [one for one in records(stack, run_id=told["run_id"], task_id="stumbles") if one["replaced_by"]]
    later = told["tasks"]["stumbles"]
    assert (earlier["status"], earlier["attempt"], later["attempt"]) == ("RETRY", 1, 2)
    assert earlier["replaced_by"] == later["id"] and later["instead_of"] == earlier["id"]
    reason = wait_for("its worker's word", lambda: stack.api.kit(f"/tasks/{earlier['id']}")["error"], 10)
    assert "stumbled over the first stone" in reason
    assert sum(one["impossible"] for one in records(stack, run_id=told["run_id"])) == 0


@pytest.mark.once
def test_a_task_s_story_is_whole(stack: Stack, told: dict[str, Any]) -> None:
    id = told["tasks"]["first"]["id"]
    wait_for("the worker's last word", lambda: "succeeded" in kinds(stack, id), 10, lambda: kinds(stack, id))
    said = kinds(stack, id)
    assert said[:3] == ["asked", "scheduled", "queued"] and said[-2:] == ["success", "succeeded"]
    assert {"published", "received", "started", "running", "input", "progress", "business_result"} <= set(said)
    known = stack.api.kit(f"/tasks/{id}")
    assert known["progress"]["done"] == 5 and known["result"] == {"rows": 17, "password": "***"}
    assert known["input"]["fields"]["op_args"] and len(known["input"]["hash"]) == 64
    assert known["worker"] in stack.registered() and known["message"] and known["queue"] == "default"
    assert [hop["hop"] for hop in known["hops"]][-3:] == ["waiting in the broker", "starting", "running"]


def kinds(stack: Stack, id: str) -> list[str]:
    """What happened to an attempt, in order."""
    return [one["kind"] for one in stack.api.kit(f"/tasks/{id}/events")["events"]]


@pytest.mark.once
def test_an_error_has_its_stack_trace_and_is_found_by_its_words(stack: Stack, told: dict[str, Any]) -> None:
    look = lambda: records(stack, error="BRIDGE is down", run_id=told["run_id"])  # noqa: E731
    (found,) = wait_for("its worker's word", look, 10)
    assert found["task_id"] == "breaks"
    assert "in breaks" in stack.api.kit(f"/tasks/{found['id']}")["trace"]


def test_no_secret_of_a_task_is_on_record(stack: Stack, told: dict[str, Any]) -> None:
    rows = stack.sql("SELECT facts::text FROM journal.event WHERE run_id = %s", told["run_id"], database="kit")
    assert len(rows) > 30
    assert [row for row in rows if SECRET in row[0]] == []


@pytest.mark.once
def test_a_workflow_knows_its_progress(stack: Stack, told: dict[str, Any]) -> None:
    found = stack.api.kit(f"/workflows/told/{told['run_id']}")
    assert (found["state"], found["progress"], found["asked_by"]) == ("failed", "6/6", "REST_API")
    assert found["counts"] == dict(Counter(one["status"] for one in told["tasks"].values()))


@pytest.mark.once
def test_the_command_line_shows_the_same(stack: Stack, told: dict[str, Any]) -> None:
    listed = stack.kit_json("tasks", "list", "--run", told["run_id"], "--status", "timeout")["tasks"]
    assert [one["task_id"] for one in listed] == ["too_long"]
    shown = stack.kit("tasks", "show", told["tasks"]["breaks"]["id"]).stdout
    assert "waiting in the broker" in shown and "the bridge is down" in shown
    assert f"told {told['run_id']}" in stack.kit("workflows", "show", "told").stdout
    refused = stack.kit("tasks", "show", "00000000-0000-4000-8000-000000000000", check=False)
    assert refused.returncode == 2 and "is on record" in refused.stderr and len(refused.stderr.splitlines()) == 1


@pytest.mark.once
def test_whoever_waits_for_a_run_hears_what_is_tried_again(stack: Stack, told: dict[str, Any]) -> None:
    ended = stack.kit("run", "told", "--wait", check=False)
    assert ended.returncode == 7 and "told: started manual__" in ended.stderr
    line = r"stumbles failed \(ValueError: stumbled over the first stone\), tried again at \d\d:\d\d:\d\d"
    assert len(re.findall(line, ended.stderr)) == 1, ended.stderr


@pytest.mark.once
def test_a_retried_workflow_runs_again_what_failed_and_what_depends_on_it(stack: Stack, told: dict[str, Any]) -> None:
    run = told["run_id"]
    receipts = stack.output / "told" / file_name(run)
    before = Counter(receipts.read_text().splitlines())
    planned = stack.kit_json("workflows", "retry", "told", run, "--dry-run")
    assert (
        planned["names"] == ["after", "breaks", "too_long"]
        and stack.api.kit(f"/workflows/told/{run}")["state"] == "failed"
    )
    (stack.output / "told" / "right").touch()
    stack.kit("workflows", "retry", "told", run)
    assert stack.wait_run("told", run) == "success"
    again = Counter(receipts.read_text().splitlines()) - before
    assert sorted(again.elements()) == ["after 1", "breaks 2", "too_long 2"]
    assert {one["status"] for one in settled(stack, "told", run).values()} == {"SUCCESS", "NO_DATA"}
    refused = stack.kit("workflows", "retry", "told", run, check=False)
    assert refused.returncode == 2 and "nothing to retry" in refused.stderr


@pytest.mark.once
def test_a_paused_workflow_finishes_what_runs_starts_nothing_and_holds_no_slot(stack: Stack) -> None:
    ready = stack.wait_ready()
    slots = sum(worker["slots"] for worker in ready["workers"] if "default" in worker["queues"])
    run = stack.start_dag("hundred_receipts", {"seconds": 200})
    states = lambda: Counter(row[1] for row in stack.sql(BELIEVED, "hundred_receipts", run, database="airflow"))  # noqa: E731
    wait_for(
        "full slots and a task in the broker", lambda: states()["running"] == slots and states()["queued"], 60, states
    )
    paused = stack.kit_json("workflows", "pause", "hundred_receipts", run)
    assert paused["taken_back"] > 0 and states()["running"] == slots
    wait_for("an empty broker", lambda: stack.waiting() == 0, 10)
    assert stack.kit("workflows", "pause", "hundred_receipts", run, check=False).returncode == 2
    stack.release(run)
    wait_for("what ran to end", lambda: states()["success"] == slots and not states()["running"], 30, states)
    # Another run's tasks have all slots, and time in which the paused one could start.
    other = stack.run_dag("wide", {"tasks": 2 * slots, "seconds": 1})
    assert other["state"] == "success"
    assert states() == {"success": slots, None: 100 - slots}
    assert stack.api.kit(f"/workflows/hundred_receipts/{run}")["paused"]
    stack.kit("workflows", "resume", "hundred_receipts", run)
    assert stack.wait_run("hundred_receipts", run) == "success"
    assert {one["attempt"] for one in records(stack, run_id=run)} == {1}
    started = Counter(line["index"] for line in map(json.loads, receipts_of(stack, run)) if line["what"] == "start")
    assert sorted(started) == list(range(100)) and set(started.values()) == {1}


def test_a_cancelled_task_that_runs_is_gone_within_seconds(stack: Stack) -> None:
    run = stack.start_dag("slow", {"seconds": 200})
    stack.wait_task("slow", run, "count", {"running"})
    (known,) = wait_for("its record", lambda: (found := records(stack, run_id=run, status="PROCESSING")) and found, 10)
    processes = processes_of(known["id"])
    assert processes, "a task process was seen"
    begun = time.monotonic()
    stack.kit("tasks", "cancel", known["id"])
    wait_for("its process to end", lambda: not any(map(alive, processes)), 10, lambda: processes)
    assert settled(stack, "slow", run)["count"]["status"] == "CANCELLED"
    print(f"gone after {time.monotonic() - begun:.1f} s")
    assert stack.wait_run("slow", run) == "failed"
    ((who,),) = stack.sql(
        "SELECT owner FROM log WHERE event = 'kit_cancel_task' AND run_id = %s", run, database="airflow"
    )
    said = stack.api.kit(f"/tasks/{known['id']}/events")["events"]
    assert who == stack.settings["AIRFLOW_ADMIN_USER"] and [
        one["facts"]["who"] for one in said if one["kind"] == "cancelled"
    ] == [who]
    refused = stack.kit("tasks", "cancel", known["id"], check=False)
    assert refused.returncode == 2 and "nothing to cancel" in refused.stderr


def processes_of(attempt: str) -> list[psutil.Process]:
    """The processes of this machine that run an attempt: Airflow gives them its id as their title."""
    return [
        one for one in psutil.process_iter(["cmdline"]) if f"worker -- {attempt}" in " ".join(one.info["cmdline"] or ())
    ]


@pytest.mark.once
def test_many_are_cancelled_by_what_they_have_in_common_once_their_number_is_named(stack: Stack) -> None:
    run = stack.start_dag("hundred_receipts", {"seconds": 120})
    wait_for("all of them", lambda: len(records(stack, run_id=run)) == 100, 30)
    stack.kit("workflows", "pause", "hundred_receipts", run)
    settle = lambda: len(records(stack, run_id=run, status="PENDING"))  # noqa: E731
    # Nothing starts any more; the journal hears a moment later of what did.
    record.wait_same(stack, "hundred_receipts", run)
    waiting = settle()
    assert waiting >= 90
    planned = stack.kit_json("tasks", "cancel-all", "--run", run, "--status", "pending")
    assert (planned["count"], planned["changed"]) == (waiting, 0) and settle() == waiting
    refused = stack.kit("tasks", "cancel-all", "--run", run, "--status", "pending", "--count", "3", check=False)
    assert refused.returncode == 2 and f"there are {waiting} now, not 3" in refused.stderr
    ended = stack.kit_json("tasks", "cancel-all", "--run", run, "--status", "pending", "--count", str(waiting))
    assert ended["changed"] == waiting
    stack.release(run)
    assert stack.wait_run("hundred_receipts", run) == "failed"
    assert Counter(one["status"] for one in settled_all(stack, run))["CANCELLED"] == waiting
    assert stack.kit("tasks", "cancel-all", check=False).returncode == 2


@pytest.mark.once
def test_a_cancelled_task_that_waits_in_the_broker_leaves_it(stack: Stack) -> None:
    ready = stack.wait_ready()
    slots = sum(worker["slots"] for worker in ready["workers"] if "default" in worker["queues"])
    run = stack.start_dag("hundred_receipts", {"seconds": 120})
    queued = lambda: [one for one in records(stack, run_id=run, status="QUEUED") if one["published_at"]]  # noqa: E731
    wait_for(
        "a task in the broker", lambda: len(records(stack, run_id=run, status="PROCESSING")) == slots and queued(), 60
    )
    chosen = queued()[0]
    assert in_broker(stack, chosen["message"]), "its message is there"
    stack.kit("tasks", "cancel", chosen["id"])
    wait_for("its message to be gone", lambda: not in_broker(stack, chosen["message"]), 10)
    wait_for(
        "the controller's word",
        lambda: "withdrawn" in kinds(stack, chosen["id"]),
        10,
        lambda: kinds(stack, chosen["id"]),
    )
    cancelled = stack.kit_json("workflows", "cancel", "hundred_receipts", run)
    assert cancelled["cancelled"] == 99
    stack.release(run)
    assert set(Counter(one["status"] for one in settled_all(stack, run))) == {"CANCELLED"}
    wait_for("an empty broker", lambda: stack.waiting() == 0, 30)
    started = {line["index"] for line in map(json.loads, receipts_of(stack, run)) if line["what"] == "start"}
    assert len(started) <= 2 * slots, "what waited never ran"


def settled_all(stack: Stack, run: str) -> list[dict[str, Any]]:
    """Every attempt of a run once Airflow and journal say the same."""
    settled(stack, "hundred_receipts", run)
    return records(stack, run_id=run)


def receipts_of(stack: Stack, run: str) -> list[str]:
    """What the tasks of a run left behind."""
    return (stack.output / "receipts" / f"{file_name(run)}.jsonl").read_text().splitlines()


def in_broker(stack: Stack, message: str) -> bool:
    """Whether a message is in any list."""
    broker = stack.broker()
    lists = [key for key in broker.keys("default*") if broker.type(key) == b"list"]
    return any(message.encode() in raw for key in lists for raw in broker.lrange(key, 0, -1))


def test_statuses_are_airflow_s_of_every_task_that_ever_ran_here(stack: Stack) -> None:
    """Whatever the tests before did to workers, broker and databases of this stack."""
    ((number,),) = stack.sql("SELECT count(*) FROM task_instance", database="airflow")
    record.wait_same(stack)
    assert number > 50


@pytest.mark.once
def test_strangers_see_nothing_and_viewers_change_nothing(stack: Stack) -> None:
    base, id = stack.settings.url("AIRFLOW_PORT"), "00000000-0000-4000-8000-000000000000"
    with httpx.Client(base_url=base, trust_env=False) as stranger:
        for method, path in (
            ("GET", "/tasks"),
            ("GET", f"/tasks/{id}"),
            ("POST", f"/tasks/{id}/cancel"),
            ("POST", "/workflows"),
        ):
            assert stranger.request(method, f"/kit/v1{path}").status_code == 401
    answer = stack.api.http.post(f"/kit/v1/tasks/{id}/cancel")
    assert (answer.status_code, answer.json()["detail"]) == (404, f"there is no task {id}")
    answer = stack.api.http.post("/kit/v1/workflows", json={"dag_id": "told", "conf": [], "more": 1})
    assert answer.status_code == 422 and isinstance(answer.json()["detail"], str)
