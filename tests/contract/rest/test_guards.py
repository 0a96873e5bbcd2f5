"""Limits and breakers over REST, on a real Airflow: who sees them, who changes them, what is on record of it."""

import contextlib
import json
import threading

import psycopg2
import pytest

from tests.contract.servers import wait_for


def only(answer, name):
    """The one row of a list."""
    (found,) = answer.raise_for_status().json()[name]
    return found


def test_a_limit_is_suspended_and_resumed_with_a_reason(guards):
    found = only(guards.kit("/limits"), "limits")
    assert (found["name"], found["slots"], found["suspended"], found["rule"]["slots"]) == ("crm-db", 2, None, 2)
    reason = {"reason": "the CRM moves"}
    assert guards.kit("/limits/crm-db/suspend", "POST", json=reason).json() == {
        "limit": "crm-db",
        "suspended": True,
        "taken_back": 0,
    }
    assert only(guards.kit("/limits"), "limits")["suspended"]["who"] == "admin"
    assert guards.kit("/limits/crm-db/suspend", "POST", json=reason).status_code == 409
    assert guards.kit("/limits/crm-db/resume", "POST", json=reason).json()["suspended"] is False
    assert guards.kit("/limits/crm-db/resume", "POST", json=reason).status_code == 409
    noted = guards.query("SELECT event, owner, extra FROM log WHERE event LIKE 'kit%%limit' ORDER BY id")
    extra = json.dumps({"limit": "crm-db", "reason": "the CRM moves"})
    assert noted[-2:] == [("kit_suspend_limit", "admin", extra), ("kit_resume_limit", "admin", extra)]
    assert [what for (what,) in guards.query("SELECT what FROM kit.guard_event ORDER BY seq")] == [
        "limit_suspended",
        "limit_resumed",
    ]


@pytest.mark.parametrize("name", ["dag:sales", "task:sales.load", "pool:default_pool", "queue:default"])
def test_what_has_no_limit_is_suspended_by_its_name_and_leaves_none_behind(guards, name):
    assert guards.kit(f"/limits/{name}/suspend", "POST", json={"reason": "x"}).status_code == 200
    assert {one["name"] for one in guards.kit("/limits").json()["limits"]} == {"crm-db", name}
    assert guards.kit(f"/limits/{name}/resume", "POST", json={"reason": "x"}).status_code == 200
    assert only(guards.kit("/limits"), "limits")["name"] == "crm-db"


def test_what_is_suspended_and_made_by_nobody_any_more_can_be_resumed(guards):
    assert guards.kit("/limits/crm-db/suspend", "POST", json={"reason": "x"}).status_code == 200
    guards.query("DELETE FROM kit.guard WHERE name = 'crm-db'")
    assert guards.kit("/limits/crm-db/resume", "POST", json={"reason": "x"}).json()["suspended"] is False
    assert guards.kit("/limits/crm-db/resume", "POST", json={"reason": "x"}).status_code == 404


def test_who_suspends_what_somebody_resumes_at_that_moment_has_suspended_it(guards):
    """The limit is there when the second one asks, and gone with the suspension when it is its turn."""
    path, waits = "/limits/dag:sales/suspend", "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    assert guards.kit(path, "POST", json={"reason": "x"}).status_code == 200
    answers = []
    with (
        contextlib.closing(psycopg2.connect(guards.stack.address("airflow", "airflow"))) as ben,
        ben.cursor() as cursor,
    ):
        cursor.execute("SELECT kit.guard_resume('limit dag:sales', 'ben', 'done')")
        again = threading.Thread(target=lambda: answers.append(guards.kit(path, "POST", json={"reason": "again"})))
        again.start()
        wait_for("the one who suspends", lambda: guards.query(waits)[0][0] > 0, 10)
        ben.commit()
    again.join(10)
    assert answers[0].status_code == 200 and guards.kit("/limits/dag:sales").json()["suspended"]["reason"] == "again"
    assert guards.kit("/limits/dag:sales/resume", "POST", json={"reason": "x"}).status_code == 200


def test_a_breaker_is_tripped_and_reset_with_a_reason(guards):
    assert only(guards.kit("/breakers"), "breakers")["state"] == "closed"
    body = {"reason": "the CRM moves", "seconds": 600}
    assert guards.kit("/breakers/crm/trip", "POST", json=body).json()["state"] == "open"
    found = only(guards.kit("/breakers/crm"), "breakers")
    assert (found["state"], found["who"], found["reason"], found["openings"]) == ("open", "admin", "the CRM moves", 1)
    assert guards.kit("/breakers/crm/reset", "POST", json={"reason": "moved"}).json()["state"] == "closed"
    assert guards.kit("/breakers/crm/reset", "POST", json={"reason": "moved"}).status_code == 409


def test_what_cannot_be_is_refused_with_a_sentence(guards):
    for path, body, status in (
        ("/limits/nothing/suspend", {"reason": "x"}, 404),
        ("/limits/dag:nothing/suspend", {"reason": "x"}, 404),
        ("/limits/task:sales/suspend", {"reason": "x"}, 404),
        ("/limits/task:sales.lod/suspend", {"reason": "x"}, 404),
        ("/limits/crm-db/suspend", {}, 422),
        ("/limits/crm-db/suspend", {"reason": "a\0b"}, 422),
        ("/limits/%00/suspend", {"reason": "x"}, 422),
        ("/breakers/nothing/trip", {"reason": "x"}, 404),
        ("/breakers/crm/trip", {"reason": "x", "seconds": 0}, 422),
        ("/breakers/crm/trip", {"reason": "x", "token": "typo"}, 422),
        ("/breakers/crm/reset", {"reason": "x", "token": "typo"}, 422),
    ):
        answer = guards.kit(path, "POST", json=body)
        assert answer.status_code == status and answer.json()["detail"], path


def test_what_is_not_there_is_told_with_what_is_and_a_reason_that_is_none_with_the_cure(guards):
    for path, body, words in (
        ("/breakers/cmr/trip", {"reason": "x"}, "there is no breaker cmr: did you mean crm? The only one is crm"),
        ("/breakers/cmr/reset", {"reason": "x"}, "there is no breaker cmr: did you mean crm? The only one is crm"),
        ("/limits/nothing/resume", {"reason": "x"}, "there is no limit nothing: the only one is crm-db"),
        (
            "/breakers/crm/trip",
            {"reason": " "},
            "reason: it is empty: say in a few words why, whoever waits reads them",
        ),
        ("/breakers/crm/trip", {"reason": "x" * 501}, "reason: it has 501 characters: write 500 or fewer"),
    ):
        assert guards.kit(path, "POST", json=body).json()["detail"] == words
    assert (
        guards.kit("/breakers/cmr").json()["detail"] == "there is no breaker cmr: did you mean crm? The only one is crm"
    )


def test_breakers_by_checks_that_the_controller_does_not_make_are_told(guards):
    guards.query("UPDATE kit.guard SET check_name = 'cmr' WHERE id = 'breaker crm'")
    assert [guards.kit("/limits").json()[name] for name in ("checks", "unknown_checks")] == [None, []]
    guards.query(
        """INSERT INTO kit.seen (what, facts, at) VALUES ('health', '{"verdicts": [], "checks": ["broker"]}', now())"""
    )
    found = guards.kit("/limits").json()
    assert (found["checks"], found["unknown_checks"]) == (
        ["broker"],
        [{"breaker": "crm", "check": "cmr", "origin": "file"}],
    )


def test_a_breaker_that_is_counted_is_tripped_for_one_that_is_named(guards):
    guards.query("UPDATE kit.guard SET token = 'dag' WHERE id = 'breaker crm'")
    refused = guards.kit("/breakers/crm/trip", "POST", json={"reason": "x"})
    assert (refused.status_code, "counted by dag" in refused.json()["detail"]) == (422, True)
    typo = guards.kit("/breakers/crm/trip", "POST", json={"reason": "x", "token": "salse"})
    assert (typo.status_code, typo.json()["detail"]) == (404, "there is no dag salse")
    assert guards.kit("/breakers/crm/trip", "POST", json={"reason": "x", "token": "sales"}).json()["state"] == "open"


def test_who_may_change_no_limit_is_told_no_names(guards):
    guards.query("UPDATE kit.guard SET token = 'conf:customer' WHERE id = 'limit crm-db'")
    guards.start()
    guards.query(
        "INSERT INTO kit.held (task, dag_id, run_id, task_id, map_index, guard, token, cause) "
        "SELECT id, dag_id, run_id, task_id, map_index, 'limit crm-db', 'anna', 'slots' FROM task_instance WHERE state IS NULL LIMIT 1"
    )
    viewer = guards.user("vera", "Viewer")
    told = [one.get("/kit/v1/limits").raise_for_status().json()["limits"][0]["tokens"] for one in (guards.api, viewer)]
    assert [[row["token"] for row in one] for one in told] == [["anna"], [""]] and told[0][0]["waiting"] == told[1][0][
        "waiting"
    ]


def test_a_task_says_what_it_waits_for(guards):
    guards.kit("/breakers/crm/trip", "POST", json={"reason": "the CRM moves"}).raise_for_status()
    run = guards.start()
    id = guards.kit("/tasks", params={"run_id": run}).json()["tasks"][0]["id"]
    assert guards.kit(f"/tasks/{id}/waits").json() == {"waits_for": None, "since": None}
    guards.query("UPDATE task_instance SET state = 'scheduled' WHERE id = %s", id)
    found = guards.kit(f"/tasks/{id}/waits").json()
    assert found["waits_for"].startswith("waits for breaker crm: open until") and found["waits_for"].endswith(
        "the CRM moves"
    )
    assert guards.query("SELECT state FROM task_instance WHERE id = %s", id) == [(None,)]


def test_operators_change_them_and_viewers_see_them(guards):
    for role, status in (("Viewer", 403), ("Op", 200)):
        who = guards.user(f"guard-{role}", role)
        assert who.get("/kit/v1/limits").status_code == who.get("/kit/v1/breakers").status_code == 200
        assert who.post("/kit/v1/limits/crm-db/suspend", json={"reason": "x"}).status_code == status


def test_what_has_not_changed_is_not_sent_again(guards):
    first = guards.kit("/limits")
    assert guards.kit("/limits", headers={"If-None-Match": first.headers["ETag"]}).status_code == 304


def test_the_stored_dags_are_read_by_airflows_own_serialization(guards):
    """The trigger is on Airflow's own table, in its own encoding: what the example Dags say is in force."""
    data = guards.query("SELECT data FROM serialized_dag LIMIT 1")[0][0]
    assert data["dag"]["tasks"], "the Dag is stored as the trigger reads it"
    assert guards.query(
        "SELECT count(*) FROM pg_trigger WHERE tgname IN ('kit_hold_guarded', 'kit_hold_sent', 'kit_hold_left', 'kit_hold_dag')"
    ) == [(4,)]
