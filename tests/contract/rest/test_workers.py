"""Workers over REST: who is there, who is to take no task, and what the controller reads of that."""

import contextlib
import json

import psycopg2

from airflow_celery_kit.controller import draining
from tests.contract.rest.conftest import WORKER


def state(server):
    """What is said of the one worker."""
    (found,) = server.kit("/workers").raise_for_status().json()["workers"]
    return found["state"]


def test_a_worker_is_drained_and_resumed_and_each_step_is_seen(server, seen):
    seen(held=2)
    assert state(server) == "working"
    assert server.kit(f"/workers/{WORKER}/drain", "POST").json() == {"name": WORKER, "wanted": "drain"}
    assert state(server) == "asked"
    seen(held=2, drained=True)
    assert state(server) == "draining"
    seen(drained=True)
    assert state(server) == "drained"
    seen(live=False)
    assert state(server) == "away"
    seen(drained=True)
    with contextlib.closing(psycopg2.connect(server.stack.address("kit", "airflow"))) as connection:
        assert draining.asked(connection) == {WORKER: "drain"}
    assert server.kit(f"/workers/{WORKER}/resume", "POST").status_code == 200
    assert state(server) == "resuming"
    seen()
    (found,) = server.kit("/workers").json()["workers"]
    assert (found["state"], found["asked_by"], found["host"], found["queues"]) == (
        "working",
        "admin",
        "here",
        ["default"],
    )
    noted = server.query("SELECT event, owner, extra FROM log WHERE event LIKE 'kit%%worker' ORDER BY id DESC LIMIT 2")
    assert noted == [(f"kit_{verb}_worker", "admin", json.dumps({"worker": WORKER})) for verb in ("resume", "drain")]


def test_what_cannot_be_is_refused_with_a_sentence_and_leaves_nothing(server, seen):
    refused = []
    for prepare, path, sentence in (
        (lambda: None, f"{WORKER}/drain", "no controller has looked"),
        (lambda: seen(age=600), f"{WORKER}/drain", "s old: no controller runs"),
        (seen, "nobody/drain", "there is no worker nobody"),
        (seen, f"{WORKER}/resume", "nobody has told"),
    ):
        prepare()
        before = server.snapshot()
        answer = server.kit(f"/workers/{path}", "POST")
        assert sentence in answer.json()["detail"] and server.snapshot() == before
        refused.append(answer.status_code)
    assert refused == [503, 503, 404, 409]
    server.kit(f"/workers/{WORKER}/drain", "POST").raise_for_status()
    assert server.kit(f"/workers/{WORKER}/drain", "POST").status_code == 409


def test_operators_drain_and_users_do_not(server, seen):
    seen()
    for role, status in (("User", 403), ("Op", 200)):
        assert server.user(f"a-{role}", role).post(f"/kit/v1/workers/{WORKER}/drain").status_code == status
