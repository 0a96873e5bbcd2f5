"""Runs in: stack tests; Flower (E5): login, read-only, readable tasks, no token, right queue lengths."""

import re

import httpx
import pytest

from tests.stack.harness.stack import Stack
from tests.stack.harness.wait import wait_for
from tests.stack.test_secrets import JWT

FILL = """
import os, redis
host, port = os.environ["AIRFLOW__CELERY__BROKER_URL"].removeprefix("redis://").split("/")[0].split(":")
client = redis.Redis(host=host, port=int(port), username="airflow", password=open(os.environ["KIT_BROKER_PASSWORD_FILE"]).read())
for key, count in (("heavy", 2), ("heavy\\x06\\x163", 3), ("heavy\\x06\\x167", 4)):
    client.{verb}
print("done")
"""


def test_pages_and_api_ask_for_a_login(stack: Stack) -> None:
    with stack.flower(login=False) as stranger:
        for path in ("/", "/workers", "/tasks", "/broker", "/api/workers", "/api/tasks", "/api/queues/length"):
            assert stranger.get(path).status_code == 401, path
    with stack.flower() as known:
        assert known.get("/workers").status_code == 200


@pytest.mark.once
def test_it_is_read_only(stack: Stack) -> None:
    with stack.flower() as client:
        name = next(iter(client.get("/api/workers", params={"status": "1"}).json()))
        assert client.post(f"/api/worker/shutdown/{name}").status_code == 403
    assert stack.status()["ready"]


def test_workers_queues_and_slots_are_shown(stack: Stack) -> None:
    with stack.flower() as client:
        known = client.get("/api/workers", params={"refresh": "1"}).json()
    queues = {queue["name"] for worker in known.values() for queue in worker["active_queues"]}
    assert queues == {"default", "fast_tasks", "heavy", "heavy_tasks"}


@pytest.mark.once
def test_tasks_are_shown_by_dag_run_and_task_without_a_token(stack: Stack) -> None:
    run_id = stack.run_dag("wide", {"tasks": 3, "seconds": 0})["run_id"]
    wanted = {f"wide/{run_id}/numbers", *(f"wide/{run_id}/work[{n}]" for n in range(3))}
    with stack.flower() as client:
        wait_for("the tasks in Flower", lambda: wanted <= {shown(task) for task in all_tasks(client).values()}, 30)
        texts = [client.get("/api/tasks").text, client.get("/tasks/datatable", params=DATATABLE).text]
        for task_id, task in all_tasks(client).items():
            if run_id in str(task["args"]):
                texts += [client.get(f"/task/{task_id}").text, client.get(f"/api/task/info/{task_id}").text]
        texts.append(client.get("/api/workers", params={"refresh": "1"}).text)
    assert len(texts) == 3 + 2 * 4
    in_table = set(re.findall(r"wide/[^\"<&' ]+?(?:numbers|work\[\d\])", texts[1]))
    assert wanted <= in_table, texts[1][:2000]
    for text in texts:
        assert JWT.findall(text) == []
        assert stack.settings["VALKEY_PASSWORD"] not in text


DATATABLE = {
    "draw": 1, "start": 0, "length": 5000, "search[value]": "wide", "order[0][column]": 0, "order[0][dir]": "asc", "columns[0][data]": "name",
}  # fmt: skip


def all_tasks(client) -> dict[str, dict]:
    """Return Flower's tasks, newest first."""
    return dict(client.get("/api/tasks", params={"limit": 1000}).json())


def shown(task: dict) -> str:
    """Return what stands in place of a task's arguments."""
    return str(task["args"]).strip("'\"")


def test_queue_lengths_are_right_with_password_and_priorities(stack: Stack) -> None:
    stack.kit("stop", "airflow-worker-heavy-1")
    verb = "lpush(key, *['x'] * count)"
    try:
        assert "done" in stack.inside("airflow-scheduler-1", FILL.replace("{verb}", verb)).stdout
        with stack.flower() as client:
            length = wait_for("the length that the broker knows", lambda: told_as_it_is(stack, client, "heavy"), 30)
            assert stack.waiting("heavy") == 9
            assert length in (9, 10), "health's canary may wait there, too"
            assert re.search(r"heavy.*?\b(9|10)\b", client.get("/broker").text, re.DOTALL)
    finally:
        stack.inside("airflow-scheduler-1", FILL.replace("{verb}", "delete(key)"))
        stack.make("up")


def told_as_it_is(stack: Stack, client: httpx.Client, queue: str) -> int | None:
    """Return how many messages Flower counts in a queue, None when that is not what the broker holds before and after."""
    before = len(stack.messages(queue))
    known = {one["name"]: one["messages"] for one in client.get("/api/queues/length").json()["active_queues"]}
    return known[queue] if before == known[queue] == len(stack.messages(queue)) else None
