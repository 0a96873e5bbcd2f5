"""The REST API keeps what its OpenAPI document says, whatever it is asked: Schemathesis against a real api-server."""

import json
import subprocess
import sys
from pathlib import Path

import httpx

from airflow_celery_kit.core.guards.file import parse
from tests.contract.rest.conftest import RULES, WORKER

SECONDS = 150
JSON = {"Content-Type": "application/json"}
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance"


def schemathesis(server, folder: Path, who: httpx.Client, *options: str, learns: bool = True, **known: str) -> str:
    """Run Schemathesis with a seed; return what it said. The login stands in no argument, which `ps` shows.

    `known` are values for parts of paths, so that it finds what is there. If it learns, it asks for what it has seen in answers too.
    """
    config = folder / "schemathesis.toml"
    parameters = "".join(f'"path.{name}" = "{value}"\n' for name, value in known.items())
    learning = "".join(
        f"[phases.{phase}.extra-data-sources]\nresponses = {json.dumps(learns)}\n" for phase in ("coverage", "fuzzing")
    )
    login = f'[headers]\nAuthorization = "{who.headers["Authorization"]}"\n'
    config.write_text(f"{login}[parameters]\n{parameters}{learning}")
    config.chmod(0o600)
    document = folder / "openapi.json"
    document.write_text(server.kit("/openapi.json").raise_for_status().text)
    program = Path(sys.executable).parent / "schemathesis"
    command = [
        program, "--no-color", "--config-file", config, "run", document, "--url", f"{server.api.base_url}/kit/v1", "--checks", CHECKS, "--seed", "1",
        "--phases", "coverage,fuzzing", "--max-examples", "15", "--no-shrink", "--generation-database", "none", *options,
    ]  # fmt: skip
    ended = subprocess.run(
        list(map(str, command)), cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert ended.returncode == 0, ended.stdout[-8000:] + ended.stderr[-2000:]
    return ended.stdout


def test_the_document_is_for_people_who_have_logged_in(server):
    stranger = httpx.get(f"{server.api.base_url}/kit/v1/openapi.json", trust_env=False)
    assert (stranger.status_code, stranger.json()) == (401, {"detail": "Not authenticated"})
    document = server.kit("/openapi.json").raise_for_status().json()
    assert document["servers"] == [{"url": "/kit/v1"}] and "/tasks/{id}/cancel" in document["paths"]
    assert all(
        {"401", "403", "404", "422", "503"} <= set(operation["responses"])
        for path in document["paths"].values()
        for operation in path.values()
    )


def test_whatever_is_asked_the_answer_is_one_of_the_document_and_what_is_refused_changes_nothing(
    server, seen, tmp_path
):
    seen(age=-100)
    server.start()
    before = server.snapshot()
    print(schemathesis(server, tmp_path, server.api, learns=False))
    assert server.snapshot() == before


def test_whatever_is_done_to_a_run_that_is_there_the_answer_is_one_of_the_document(server, seen, tmp_path):
    seen(age=-100)
    run = server.start()
    id = server.kit("/tasks", params={"run_id": run}).json()["tasks"][0]["id"]
    there = {
        "id": id,
        "dag_id": "sales",
        "run_id": run,
        "file": "console.js",
        "name": WORKER,
        "limit": "crm-db",
        "breaker": "crm",
    }
    server.query("SELECT kit.guards_apply(%s)", json.dumps(parse(RULES).rows()))
    said = schemathesis(server, tmp_path, server.api, "--include-path-regex", r"\{", **there)
    assert "Missing test data" not in said
    server.query("SELECT kit.guards_apply('[]')")
    server.query("TRUNCATE kit.breaker, kit.guard_suspended, kit.guard_event")


def test_a_viewer_changes_nothing_whatever_is_asked(server, seen, tmp_path):
    seen(age=-100)
    viewer = server.user("viewer", "Viewer")
    run = server.start()
    id = server.kit("/tasks", params={"run_id": run}).json()["tasks"][0]["id"]
    before = server.snapshot()
    schemathesis(
        server,
        tmp_path,
        viewer,
        "--include-method",
        "POST",
        "--max-examples",
        "3",
        id=id,
        dag_id="sales",
        run_id=run,
        name=WORKER,
    )
    assert server.snapshot() == before
    assert viewer.post(f"/kit/v1/tasks/{id}/cancel").status_code == 403


def test_what_no_database_takes_is_refused_with_a_sentence(server):
    run = server.start()
    before = server.snapshot()
    large = {"dag_id": "sales", "conf": {"text": "x" * (1 << 20)}}
    answers = [
        server.kit("/workflows", "POST", json=large),
        server.kit("/workflows", "POST", json={"dag_id": "sales", "conf": {"text": ["\0"]}}),
        server.kit("/workflows", "POST", json={"dag_id": "sales", "run_id": "a\0b"}),
        server.kit("/workflows", "POST", content=b'{"dag_id": "sales", "conf": {"half": "\\ud800"}}', headers=JSON),
        server.kit("/workflows", "POST", content=b'{"dag_id": "sales", "conf": {"not": NaN}}', headers=JSON),
        server.kit("/workflows", "POST", content=b"[" * 100_000, headers=JSON),
        server.kit("/workflows", "POST", content=b"\xff\xfe", headers=JSON),
        server.kit("/workflows", "POST", json={"dag_id": "sales", "run_id": "../" * 80}),
        server.kit("/tasks/cancel", "POST", json={"dag_id": "sales", "count": 10**400}),
        server.kit("/tasks/cancel", "POST", json={"error": "\0"}),
        server.kit("/tasks?dag_id=%00"),
        server.kit("/tasks?limit=" + "9" * 400),
        server.kit("/tasks?cursor=%FF%FE"),
        server.kit("/workflows/sales/%00"),
        server.kit(f"/workflows/sales/{run}%20"),
        server.kit("/workflows/sales/%FF%FE"),
    ]
    codes = [one.status_code for one in answers]
    assert codes[:5] == [413, 422, 422, 422, 422] and all(400 <= code < 500 for code in codes), codes
    assert all(isinstance(one.json()["detail"], str) and one.json()["detail"] for one in answers)
    assert server.snapshot() == before
    assert server.kit("/tasks?dag_id=%FF").json() == {"tasks": [], "next": None}
