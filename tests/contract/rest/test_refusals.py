"""What a person or a program asks in the wrong way is refused with a sentence that says the right one."""

import base64

import pytest


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/tasks?dag=nc_fail", ("dag: no such parameter here", "known: status, dag_id, run_id")),
        ("/tasks?dag_id=sales&limt=3&a=", ("a, limt: no such parameter",)),
        ("/workflows?run_id=x", ("run_id: no such parameter", "known: dag_id, state, limit, cursor")),
        ("/queues?queue=default", ("queue: no such parameter", "known: none")),
        ("/workflows?state=bogus", ("state.0: ", "'queued', 'running', 'success', 'failed', 'removed' or 'paused'")),
    ],
)
def test_what_no_route_knows_is_named_with_what_it_knows(server, path, words):
    answer = server.kit(path)
    assert answer.status_code == 422, answer.text
    assert [word for word in words if word not in answer.json()["detail"]] == [], answer.text


def test_what_a_route_knows_is_taken(server):
    for path in ("/tasks?dag_id=sales&status=SUCCESS&status=FAILURE&limit=3", "/workflows?state=paused&state=running"):
        assert server.kit(path).status_code == 200
    assert server.kit("/queues").status_code == 200


def test_a_paused_run_is_found_as_such_and_in_its_state_of_airflow(server):
    run = server.start()
    found = lambda state: [  # noqa: E731
        one["run_id"] for one in server.kit(f"/workflows?dag_id=sales&state={state}").json()["workflows"]
    ]
    state = server.kit(f"/workflows/sales/{run}").json()["state"]
    assert run not in found("paused") and run in found(state)
    server.kit(f"/workflows/sales/{run}/pause", "POST").raise_for_status()
    server.carry()
    assert run in found("paused") and run in found(state)
    server.kit(f"/workflows/sales/{run}/cancel", "POST").raise_for_status()
    server.carry()
    assert run not in found("paused")


def test_a_body_that_is_no_json_is_called_so(server):
    answer = server.kit("/workflows", "POST", content=b"{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["detail"]) == (
        422, "the body is no JSON: Expecting property name enclosed in double quotes at character 1",
    )  # fmt: skip


@pytest.mark.parametrize(
    "inside", ['["\\u0000","x"]', '["\\ud800","x"]', "[" * 1499], ids=["NUL", "half a pair", "deep"]
)
def test_a_cursor_that_no_page_was_given_with_is_refused(server, inside):
    answer = server.kit("/tasks", params={"cursor": base64.urlsafe_b64encode(inside.encode()).decode()})
    assert (answer.status_code, answer.json()["detail"]) == (
        400,
        "the cursor is none of this list's: begin without one",
    )


@pytest.mark.parametrize("depth", [150, 480, 20_000])
def test_a_body_that_is_too_deep_is_refused(server, depth):
    body = '{"dag_id": "sales", "conf": {"a": ' + "[" * depth + "]" * depth + "}}"
    answer = server.kit("/workflows", "POST", content=body.encode(), headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert depth > 1000 or "nested more than 100 levels deep" in answer.json()["detail"]


def test_a_refusal_says_each_thing_once(server):
    said = server.kit("/tasks/xyz/cancel", "POST").json()["detail"]
    assert said.count("id: ") == 1 and said.count("UUID") == 1, said


def test_who_may_not_is_told_which_permission_is_missing(server):
    run = server.start()
    id = server.kit("/tasks", params={"run_id": run}).json()["tasks"][0]["id"]
    viewer, nobody = server.user("looks", "Viewer"), server.user("outside", "Public")
    for who, method, path, body, words in (
        (viewer, "POST", f"/tasks/{id}/cancel", None, "edit Task Instances"),
        (viewer, "POST", f"/workflows/sales/{run}/pause", None, "edit Dag Runs"),
        (viewer, "POST", "/workflows", {"dag_id": "sales"}, "create Dag Runs"),
        (viewer, "POST", "/workers/one/drain", None, "edit Pools"),
        (nobody, "GET", "/tasks", None, "read Task Instances"),
        (nobody, "GET", "/queues", None, "read Cluster Activity"),
        (nobody, "GET", "/openapi.json", None, "read Docs"),
    ):
        answer = who.request(method, f"/kit/v1{path}", json=body)
        assert (answer.status_code, answer.json()) == (403, {"detail": f"your roles lack the permission to {words}"})


def test_a_preview_names_mapped_tasks_with_their_index(server):
    run = server.start()
    id = server.kit("/tasks", params={"run_id": run, "task_id": "extract"}).json()["tasks"][0]["id"]
    server.query("UPDATE journal.task SET map_index = 0 WHERE id = %s", id, database="kit")
    body = {"run_id": run, "task_id": "extract"}
    assert server.kit("/tasks/cancel", "POST", json=body).json()["some"] == [f"sales/{run}/extract[0]"]
