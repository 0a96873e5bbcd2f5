"""An ETag says whether a record is still the one that was seen: nothing is sent twice, and nobody acts on what was long ago."""

import pytest


@pytest.fixture(scope="module")
def run(server):
    """A run of the Dag that is on record."""
    return server.start()


@pytest.fixture
def task(server, run):
    """An attempt of that run."""
    return server.kit("/tasks", params={"run_id": run}).json()["tasks"][0]["id"]


def paths(run, task):
    """What has an ETag."""
    return [
        f"/tasks?run_id={run.replace('+', '%2B')}",
        f"/tasks/{task}",
        f"/tasks/{task}/events",
        "/workflows?dag_id=sales",
        f"/workflows/sales/{run}",
    ]


def test_what_the_caller_has_is_not_sent_again(server, run, task):
    for path in paths(run, task):
        first = server.kit(path).raise_for_status()
        tag = first.headers["ETag"]
        for named in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again = server.kit(path, headers={"If-None-Match": named})
            assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag), path
        assert server.kit(path, headers={"If-None-Match": '"other"'}).content == first.content


def test_an_action_on_what_has_changed_is_refused_and_changes_nothing(server, run, task):
    of_run, of_task = (server.kit(path).headers["ETag"] for path in (f"/workflows/sales/{run}", f"/tasks/{task}"))
    assert server.kit(f"/workflows/sales/{run}/pause", "POST", headers={"If-Match": of_run}).status_code == 200
    server.carry()
    before = server.snapshot()
    refused = server.kit(f"/workflows/sales/{run}/resume", "POST", headers={"If-Match": of_run})
    assert (refused.status_code, refused.json()["detail"]) == (412, "it has changed since it was looked at: look again")
    assert server.snapshot() == before
    new = server.kit(f"/workflows/sales/{run}").headers["ETag"]
    assert new != of_run
    assert server.kit(f"/workflows/sales/{run}/resume", "POST", headers={"If-Match": f'"x", {new}'}).status_code == 200
    assert server.kit(f"/tasks/{task}/cancel", "POST", headers={"If-Match": '"other"'}).status_code == 412
    assert server.kit(f"/tasks/{task}/cancel", "POST", headers={"If-Match": of_task}).status_code == 200
