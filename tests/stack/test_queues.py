"""Runs in: stack tests; how much waits and how long, in `kit status`, at `/kit/v1`, and who may see it."""

import time
import uuid
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.stack.harness.stack import Stack
from tests.stack.harness.wait import wait_for

# Longer than anything takes before the tasks are released.
HELD = 280
# What load balancers ask, which says a state and nothing else.
OPEN = ("/health/live", "/health/ready")
ROUTES = (
    "from airflow_celery_kit.api.app import build;"
    "print(*[(method, route.path) for route in build(None).routes for method in route.methods], sep='\\n')"
)


@pytest.mark.once
def test_what_waits_and_how_long_is_seen_everywhere(stack: Stack) -> None:
    ready = stack.wait_ready()
    slots = sum(worker["slots"] for worker in ready["workers"] if "default" in worker["queues"])
    run_id = stack.start_dag("receipts", {"tasks": 12 * slots, "seconds": HELD})
    try:
        seen_everywhere(stack, slots)
    finally:
        stack.release(run_id)
    assert stack.wait_run("receipts", run_id) == "success"
    nothing = lambda: (seen := default(stack))["waiting"] == seen["scheduled"] == 0  # noqa: E731
    wait_for("an empty queue", nothing, 30, lambda: default(stack))


def seen_everywhere(stack: Stack, slots: int) -> None:
    """Look at what waits in the broker and in Airflow: at the API, as metrics, in `kit status`."""
    full = lambda: (seen := default(stack)).get("waiting") and seen["scheduled"] and seen  # noqa: E731
    first = wait_for("tasks that wait in the broker and in Airflow", full, 60, lambda: default(stack))
    longer = lambda: (seen := default(stack))["oldest_seconds"] > first["oldest_seconds"] + 2 and seen  # noqa: E731
    queue = wait_for("a longer wait", longer, 30, lambda: (first, default(stack)))
    assert queue["waiting"] + queue["scheduled"] + slots <= 12 * slots and queue["steps"]
    assert queue["scheduled_oldest_seconds"] > 2 and queue["slots"] == slots
    said = stack.api.kit("/queues")
    assert (said["stale"], said["reason"]) == (False, "") and said["age_seconds"] < 30
    assert said["delivered"] >= slots

    measured = metrics(stack)
    oldest = max(measured["kit_queue_oldest_seconds", "default", str(step)] for step in range(10))
    assert sum(measured["kit_queue_messages", "default", str(step)] for step in range(10)) > 0
    assert oldest > first["oldest_seconds"]
    assert measured["kit_queue_scheduled_tasks", "default"] > 0
    assert measured["kit_queue_scheduled_oldest_seconds", "default"] > 2
    assert measured["kit_queue_slots", "default"] == slots
    assert measured["kit_messages_unacknowledged",] > 0
    assert abs(time.time() - measured["kit_queues_seen_timestamp_seconds",]) < 30
    # An api-server that takes longer than three seconds on a busy machine leaves them unknown.
    shown = lambda: stack.kit_json("status")["queues"]  # noqa: E731
    (ours,) = [one for one in wait_for("queues", shown, 30) if one["queue"] == "default"]
    assert ours["waiting"] > 0 and ours["scheduled"] > 0
    lines = lambda: [line.split() for line in stack.kit("status").stdout.splitlines()]  # noqa: E731
    wait_for("their lines", lambda: any(one[:1] == ["default"] and "step" in one for one in lines()), 30, lines)


@pytest.mark.parametrize("stack", ["embedded"], indirect=True)
def test_every_route_refuses_strangers_and_users_without_the_permission(stack: Stack) -> None:
    stack.wait_ready()
    routes = [route for route in routes_of(stack) if route[1] not in OPEN]
    assert {("GET", "/queues"), ("GET", "/metrics")} <= set(routes)
    stranger = client(stack)
    assert {ask(stranger, route) for route in routes} == {401}
    assert {ask(stranger, ("GET", path)) for path in OPEN} <= {200, 503}
    public, viewer = user(stack, "Public"), user(stack, "Viewer")
    assert {ask(public, route) for route in routes} == {403}
    reading, changing = ([route for route in routes if (route[0] == "GET") is reads] for reads in (True, False))
    # What is asked for in a path is not there.
    assert {ask(viewer, route) for route in reading} == {200, 404} and len(reading) >= 7
    assert {ask(viewer, route) for route in changing} == {403} and len(changing) >= 5


@pytest.mark.once
def test_airflow_lists_the_plugin_with_its_api(stack: Stack) -> None:
    (ours,) = [one for one in stack.api.get("/plugins")["plugins"] if one["name"] == "airflow_celery_kit"]
    assert [one["url_prefix"] for one in ours["fastapi_apps"]] == ["/kit/v1"]
    assert stack.api.get("/plugins/importErrors")["total_entries"] == 0


@pytest.mark.once
def test_without_a_controller_the_last_look_gets_old_and_the_status_says_so(stack: Stack) -> None:
    stack.wait_ready()
    seen = stack.api.kit("/queues")["at"]
    stack.kit("stop", "airflow-controller")
    stack.sql("UPDATE kit.seen SET at = at - interval '1 min'", database="airflow")
    try:
        said = stack.api.kit("/queues")
        assert said["stale"] and "kit logs airflow-controller" in said["reason"]
        status = stack.kit_json("status")
        assert status["queues"] is None and status["services"]
        assert "queues unknown: the last look at the broker is" in stack.kit("status", check=False).stdout
    finally:
        stack.kit("up")
    wait_for("a new look", lambda: stack.api.kit("/queues")["at"] > seen and default(stack), 30)


def default(stack: Stack) -> dict[str, Any]:
    """Return the queue `default` as the REST API gives it, an empty dictionary while it is unknown."""
    return next((one for one in stack.api.kit("/queues")["queues"] if one["queue"] == "default"), {})


def metrics(stack: Stack) -> dict[tuple[str, ...], float]:
    """Return every sample that Prometheus would read, by name and values of its labels."""
    text = stack.api.http.get("/kit/v1/metrics").raise_for_status().text
    found = [one for family in text_string_to_metric_families(text) for one in family.samples]
    return {(one.name, *one.labels.values()): one.value for one in found}


def routes_of(stack: Stack) -> list[tuple[str, ...]]:
    """Return method and path of each route, from the application that the api-server builds."""
    said = stack.inside("airflow-apiserver-1", ROUTES).stdout
    return [tuple(line.strip("()").replace("'", "").split(", ")) for line in said.splitlines() if line.startswith("(")]


def client(stack: Stack) -> httpx.Client:
    """Return a client of the api-server that nobody has logged in."""
    return httpx.Client(base_url=stack.settings.url("AIRFLOW_PORT"), timeout=20, trust_env=False)


def user(stack: Stack, role: str) -> httpx.Client:
    """Return a client as a new user of one role."""
    named = {"username": role, "email": f"{role}@localhost", "first_name": "A", "last_name": "User"}
    body = named | {"password": "a-password", "roles": [{"name": role}]}
    stack.api.http.post("/auth/fab/v1/users", json=body).raise_for_status()
    asking = client(stack)
    answer = asking.post("/auth/token", json={"username": role, "password": "a-password"}).raise_for_status()
    asking.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return asking


def ask(asking: httpx.Client, route: tuple[str, ...]) -> int:
    """Return the status of the answer to a request without a body, for something that is not there."""
    method, path = route
    named = path.replace("{id}", str(uuid.uuid4())).replace("{dag_id}", "nobody").replace("{run_id:path}", "nothing")
    return asking.request(method, f"/kit/v1{named}").status_code
