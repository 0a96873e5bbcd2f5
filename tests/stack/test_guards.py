"""Runs in: stack tests; a service that is down is left alone, a limit holds while workers are killed, operators suspend and resume.

`KIT_GUARDED_TASKS=500` runs the service's test at full length.
"""

import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.stack.harness.load import Load
from tests.stack.harness.stack import Stack
from tests.stack.harness.wait import wait_for

# The test's own service is on loopback, which a container does not reach.
EMBEDDED = pytest.mark.parametrize("stack", ["embedded"], indirect=True)
TASKS = int(os.environ.get("KIT_GUARDED_TASKS", "100"))
THRESHOLD, PERIOD, DOWN_SECONDS, SLOTS = 3, 5.0, 22.0, 5


class Service(ThreadingHTTPServer):
    """A service that counts who asks, and fails while it is down."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.failed: list[float] = []
        self.worked: list[float] = []
        self.down = True
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answers(BaseHTTPRequestHandler):
    """Answers with 503 while the service is down."""

    server: Service

    def do_GET(self) -> None:
        (self.server.failed if self.server.down else self.server.worked).append(time.time())
        self.send_response(503 if self.server.down else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[Service]:
    """A service that is down."""
    made = Service()
    yield made
    made.shutdown()


def instances(stack: Stack, dag: str, run: str, task: str) -> list[dict[str, Any]]:
    """The mapped tasks of a run."""
    found: list[dict[str, Any]] = []
    path = f"/dags/{dag}/dagRuns/{run}/taskInstances"
    while page := stack.api.get(path, limit=100, offset=len(found))["task_instances"]:
        found += page
    return [one for one in found if one["task_id"] == task]


def slots(stack: Stack) -> int:
    """The slots of all workers."""
    return sum(one["slots"] or 0 for one in stack.api.kit("/workers")["workers"])


@EMBEDDED
def test_a_service_that_is_down_is_left_alone_and_every_task_succeeds_once_it_is_back(
    stack: Stack, service: Service
) -> None:
    stack.wait_ready()
    in_flight = slots(stack)
    url = f"http://127.0.0.1:{service.server_port}"
    run = stack.start_dag("calls_a_service", {"tasks": TASKS, "url": url})
    wait_for(
        "the breaker to open",
        lambda: breaker_states(stack).get("stack-service") == "open",
        90,
        lambda: stack.kit("breakers", "list").stdout,
    )
    opened = min(service.failed)
    time.sleep(DOWN_SECONDS)
    waiting = instances(stack, "calls_a_service", run, "call")
    held = [one for one in waiting if one["state"] is None]
    begun = THRESHOLD + in_flight + int(DOWN_SECONDS / PERIOD) + 2
    assert len(held) >= TASKS - begun, "the others wait, and hold nothing"
    assert {one["try_number"] for one in held} <= {0, 1}
    because = stack.api.kit(f"/tasks/{held[-1]['id']}/waits")["waits_for"]
    assert because.startswith("waits for breaker stack-service: "), because
    service.down = False
    back = time.time()
    probes = int((back - opened) / PERIOD) + 1
    asked = len(service.failed)
    print(
        f"{TASKS} tasks, {in_flight} slots: {asked} requests while it was down for {back - opened:.0f} s, {probes} probes at most"
    )
    assert asked <= THRESHOLD + in_flight + probes
    assert stack.wait_run("calls_a_service", run, 120 + TASKS) == "success"
    ended = instances(stack, "calls_a_service", run, "call")
    assert {one["state"] for one in ended} == {"success"} and len(service.worked) == TASKS
    assert sum(one["try_number"] - 1 for one in ended) == asked, "a try is what reached the service, and nothing else"
    print(f"the last one worked {max(service.worked) - back:.1f} s after the service was back")


@EMBEDDED
def test_a_limit_holds_while_workers_are_killed_and_no_slot_is_lost(stack: Stack) -> None:
    stack.wait_ready()
    stack.kit("scale", "3")
    try:
        load = Load(stack, stack.start_dag("holds_a_slot", {"tasks": 100, "seconds": 2}), 100, "holds_a_slot")
        killed: list[tuple[float, str]] = []
        for number in (10, 30, 50, 70):
            wait_for(f"{number} ends", lambda n=number: len(load.receipts("end")) >= n, 240, load.states)
            worker = wait_for("a task that runs", lambda: busy(load), 30, load.states)
            stack.kit("kill", worker)
            killed.append((time.time(), worker))
        load.wait_ended(400)
        spans, worst = attempts(load, killed), most(attempts(load, killed))
        print(
            f"{len(spans)} attempts of 100 tasks on 3 workers, 4 kills took {len(lost(load))} of them; at most {worst} at once"
        )
        assert lost(load), "nothing was killed in the middle"
        assert worst == SLOTS, "never one above, and all of them used"
        (limit,) = [one for one in stack.api.kit("/limits")["limits"] if one["name"] == "stack-db"]
        assert all(token["taken"] == token["waiting"] == 0 for token in limit["tokens"])
        after = Load(stack, stack.start_dag("holds_a_slot", {"tasks": 12, "seconds": 3}), 12, "holds_a_slot")
        after.wait_ended()
        assert most(attempts(after, [])) == SLOTS, "no slot was lost"
    finally:
        stack.kit("scale", "1")


def busy(load: Load) -> str:
    """The worker whose task began last and has not ended, nothing between two tasks."""
    open_ones = load.unfinished()
    return next((str(one["host"]) for one in load.receipts("start")[::-1] if one["index"] in open_ones), "")


def lost(load: Load) -> set[tuple[int, int]]:
    """Attempts that began and did not end."""
    ended = {(one["index"], one["attempt"]) for one in load.receipts("end")}
    return {(one["index"], one["attempt"]) for one in load.receipts("start")} - ended


def attempts(load: Load, killed: list[tuple[float, str]]) -> list[tuple[float, float]]:
    """When each attempt began and ended; one that was killed ended with its worker."""
    ends = {(one["index"], one["attempt"]): one["at"] for one in load.receipts("end")}
    found = []
    for one in load.receipts("start"):
        deaths = [at for at, worker in killed if worker == one["host"] and at >= one["at"]]
        until = ends.get((one["index"], one["attempt"])) or min(deaths, default=one["at"])
        found.append((one["at"], until))
    return sorted(found)


def most(spans: list[tuple[float, float]]) -> int:
    """How many were under way at once at most."""
    return max(sum(begun <= at < ended for begun, ended in spans) for at, _ in spans)


@EMBEDDED
def test_a_changed_file_is_in_force_within_five_seconds_and_a_bad_one_is_refused(stack: Stack) -> None:
    stack.wait_ready()
    path = stack.root / "config" / "limits.yaml"
    before = path.read_text()

    def known() -> dict[str, Any]:
        return {one["name"]: one["slots"] for one in stack.api.kit("/limits")["limits"]}

    try:
        path.write_text("limits: {fresh: {slots: 2}}")
        wait_for("the new limit", lambda: known().get("fresh") == 2, 5, known)
        path.write_text("limits:\n  fresh: {slots: two}")
        wait_for("the refusal", lambda: stack.api.kit("/limits")["file"]["problem"], 5)
        assert known()["fresh"] == 2
        refused = stack.kit("limits", "check", check=False)
        assert refused.returncode == 3 and "line 2, column 11" in " ".join(refused.stderr.split())
        assert any(one["subject"] == "limits" and not one["fine"] for one in stack.kit_json("doctor"))
    finally:
        path.write_text(before)
    wait_for("the file of before", lambda: "fresh" not in known(), 5, known)


@EMBEDDED
def test_what_needs_a_service_that_a_check_calls_ill_waits_until_it_is_well(stack: Stack) -> None:
    stack.wait_ready()
    stack.wait_dag("limited")
    path = stack.root / "config" / "limits.yaml"
    before = path.read_text()
    shop = "{when: {dag: limited}, health: {check: flower, unhealthy: 2, within: 10s}, open: 15s}"
    path.write_text(f"breakers: {{shop: {shop}}}")
    try:
        wait_for("the breaker", lambda: "shop" in breaker_states(stack), 5)
        stack.kit("stop", "airflow-flower-1")
        wait_for(
            "the breaker to open", lambda: breaker_states(stack)["shop"] == "open", 60, lambda: breaker_states(stack)
        )
        run = stack.start_dag("limited")
        wait_for("a task that waits", lambda: waiting_words(stack, run), 30)
        said = waiting_words(stack, run)
        assert said.startswith("waits for breaker shop: ") and "flower" in said
        assert {one["state"] for one in instances(stack, "limited", run, "query")} == {None}, "it holds no slot"
        stack.start_instance("airflow-flower-1")
        assert stack.wait_run("limited", run) == "success"
    finally:
        path.write_text(before)
        stack.start_instance("airflow-flower-1")
    assert {one["try_number"] for one in instances(stack, "limited", run, "query")} == {1}


def breaker_states(stack: Stack) -> dict[str, str]:
    """The state of each breaker."""
    return {one["name"]: one["state"] for one in stack.api.kit("/breakers")["breakers"]}


@EMBEDDED
def test_a_dag_is_suspended_and_goes_on(stack: Stack) -> None:
    stack.wait_ready()
    stack.wait_dag("limited")
    stack.kit("limits", "suspend", "dag:limited", "--reason", "maintenance of the database")
    run = stack.start_dag("limited")
    wait_for("a task that waits", lambda: waiting_words(stack, run), 30)
    assert "suspended by admin, maintenance of the database" in waiting_words(stack, run)
    stack.kit("limits", "resume", "dag:limited", "--reason", "it is over")
    assert stack.wait_run("limited", run) == "success"


def waiting_words(stack: Stack, run: str) -> str:
    """What the first task of a run says that it waits for."""
    found = stack.api.kit("/tasks", run_id=run)["tasks"]
    return (found and stack.api.kit(f"/tasks/{found[-1]['id']}/waits")["waits_for"]) or ""
