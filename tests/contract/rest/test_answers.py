"""Every answer of the REST API has named fields that the document describes, and what a real database gives is what it says."""

import json
import re
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from airflow_celery_kit.core.health import State, Verdict
from airflow_celery_kit.core.journal.events import Event, Kind, Source, Subject
from airflow_celery_kit.journal.sink import Sink
from tests.contract.rest.conftest import WORKER

# What only Airflow, the task's own code, the words of limits.yaml or OpenAPI give names to.
FREE = {
    "Run.conf",
    "RunRecord.conf",
    "Event.facts",
    "Attempt.result",
    "AttemptRecord.result",
    "Input.fields",
    "Limit.rule",
    "Breaker.rule",
    "Document.info",
    "Document.paths",
    "Document.components",
}
NAMED = re.compile('"#/components/schemas/([^"]+)"')
RUN, TASK = "/workflows/{dag_id}/{run_id}", "/tasks/{id}"
GUARDS = ("/limits", "/limits/{limit}", "/breakers", "/breakers/{breaker}", f"{TASK}/waits")
READ = (
    "/openapi.json", "/queues", "/metrics", "/workers", "/health", "/overview", "/tasks", TASK, f"{TASK}/events", "/workflows", RUN,
    *GUARDS, "/console/{file}",
)  # fmt: skip
WHY = {"reason": "the CRM moves"}
# In an order in which each is possible; the last column is the body.
DONE: tuple[tuple[str, Any], ...] = (
    ("/workers/{name}/drain", None),
    ("/workers/{name}/resume", None),
    ("/limits/{limit}/suspend", WHY),
    ("/limits/{limit}/resume", WHY),
    ("/breakers/{breaker}/trip", WHY),
    ("/breakers/{breaker}/reset", WHY),
    ("/workflows", {"dag_id": "sales"}),
    (f"{RUN}/pause", None),
    (f"{RUN}/resume", None),
    (f"{TASK}/cancel", None),
    (f"{TASK}/retry", None),
    ("/tasks/cancel", {"dag_id": "sales"}),
    ("/tasks/retry", {"dag_id": "sales"}),
    (f"{RUN}/cancel", None),
    (f"{RUN}/retry", {"dry_run": True}),
    (f"{RUN}/retry", None),
)
# Which model has the columns of a table, and what it has besides.
OF_TABLES = {
    "task": ("AttemptRecord", {"hops"}),
    "workflow": ("RunRecord", {"counts", "done", "total", "progress", "graph"}),
}
COLUMNS = "SELECT column_name, is_nullable = 'YES' FROM information_schema.columns WHERE table_schema = 'journal' AND table_name = %s"

formats = FormatChecker(["uuid"])
formats.checks("date-time", (ValueError, TypeError))(lambda value: datetime.fromisoformat(value).tzinfo is not None)


@pytest.fixture
def document(server):
    """The OpenAPI document of a real api-server."""
    return server.kit("/openapi.json").raise_for_status().json()


def answers(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield method, path and content of every answer that is no refusal."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield method.upper(), path, operation["responses"]["200"]["content"]


def parts(schema: Any, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every schema in a field's or an answer's, apart from those that have a name of their own."""
    yield name, schema
    more = [schema.get("items"), schema.get("additionalProperties"), *schema.get("anyOf", ())]
    for one in more:
        if isinstance(one, dict):
            yield from parts(one, name)


def loose(schema: dict[str, Any]) -> bool:
    """Whether a schema lets any value pass, or an object without names and types."""
    if schema.get("type") == "object":
        return "properties" not in schema and schema.get("additionalProperties", True) is True
    return not {"$ref", "type", "anyOf", "enum", "const"} & set(schema)


def models(document: dict[str, Any]) -> dict[str, Any]:
    """Return every schema with a name of which an answer or a refusal consists."""
    known, found = document["components"]["schemas"], {}
    new = NAMED.findall(json.dumps([one["responses"] for path in document["paths"].values() for one in path.values()]))
    while new:
        found |= {name: known[name] for name in new}
        new = set(NAMED.findall(json.dumps(found))) - set(found)
    return found


def test_no_answer_is_an_untyped_object_and_every_field_is_described(document):
    said = {
        f"{method} {path}": [one.get("schema", {}) for one in content.values()]
        for method, path, content in answers(document)
    }
    assert [name for name, found in said.items() if len(found) != 1 or not {"$ref", "type"} & set(found[0])] == []
    assert [name for name, (schema,) in said.items() if loose(schema)] == []
    known = models(document)
    fields = {
        f"{name}.{field}": one for name, model in known.items() for field, one in model.get("properties", {}).items()
    }
    assert {name for at, schema in fields.items() for name, one in parts(schema, at) if loose(one)} == FREE
    assert [name for name, one in (known | fields).items() if not one.get("description")] == []


def closed(schema: Any) -> Any:
    """Return a schema that takes no field but those it names."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(one) for name, one in schema.items()}
    return inner | {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else inner


def check(document: dict[str, Any], method: str, path: str, answer: Any) -> None:
    """Compare one answer with the document."""
    assert answer.status_code == 200, (path, answer.text)
    content = document["paths"][path][method.lower()]["responses"]["200"]["content"]
    kind = answer.headers["content-type"]
    if kind != "application/json":
        assert [one for one in content if kind.startswith(one)], (path, kind)
        return
    schema = {**content[kind]["schema"], "components": closed(document["components"])}
    found = list(Draft202012Validator(schema, format_checker=formats).iter_errors(answer.json()))
    assert found == [], (path, found)


def say_everything(server, task: dict[str, Any]) -> None:
    """Have a task's code say all that it can."""
    subject = Subject(task=task["id"], dag_id="sales", run_id=task["run_id"], task_id=task["task_id"])
    facts = {
        Kind.PROGRESS: {"done": 1, "total": None, "note": "half"},
        Kind.INPUT: {"fields": {"op_args": ["***"]}, "hash": "0" * 64},
        Kind.BUSINESS_RESULT: {"rows": 3},
        Kind.ERROR: {"error": "ValueError: no rows", "trace": "somewhere"},
    }
    at = datetime.fromisoformat(task["changed_at"]).timestamp()
    lines = [Event(kind, Source.CODE, at + 1, subject, WORKER, said).line() for kind, said in facts.items()]
    sink = Sink(server.stack.address("journal_writer", "kit"))
    sink.write(lines, lambda refused: pytest.fail(str(refused)))
    sink.drop()


def test_each_answer_of_a_real_database_is_what_the_document_says(server, seen, guards, judged, document):
    seen()
    judged(Verdict("clock", "worker-1", State.DEGRADED, time.time(), "it is late", "set it"))
    run = server.start()
    task = server.kit("/tasks", params={"run_id": run}).json()["tasks"][0]
    say_everything(server, task)
    # So that the guards hold something.
    server.query("UPDATE task_instance SET state = 'scheduled' WHERE id = %s", task["id"])
    places = {
        "id": task["id"],
        "dag_id": "sales",
        "run_id": run,
        "file": "console.js",
        "name": WORKER,
        "limit": "crm-db",
        "breaker": "crm",
    }
    for path in READ:
        check(document, "GET", path, server.kit(path.format(**places)))
    for path, body in DONE:
        check(document, "POST", path, server.kit(path.format(**places), "POST", json=body))
        server.carry()
        for shown in ("/workers", TASK, f"{TASK}/events", RUN, *GUARDS):
            check(document, "GET", shown, server.kit(shown.format(**places)))
        places["id"] = server.kit("/tasks", params={"run_id": run, "task_id": task["task_id"]}).json()["tasks"][0]["id"]
    asked = {("GET", path) for path in READ} | {("POST", path) for path, _ in DONE}
    assert asked == {(method, path) for method, path, _ in answers(document)}


@pytest.mark.parametrize("table", OF_TABLES)
def test_a_record_has_every_column_of_its_table_and_may_be_null_where_that_may(server, document, table):
    name, more = OF_TABLES[table]
    fields = document["components"]["schemas"][name]["properties"]
    columns = dict(server.query(COLUMNS, table, database="kit"))
    assert set(fields) == (set(columns) - {"state_seq", "counted"}) | more
    nullable = {field for field, one in fields.items() if {"type": "null"} in one.get("anyOf", ())}
    # Whose Dag is not known, nobody may see.
    assert nullable - more == {column for column, may_be in columns.items() if may_be} - {"dag_id"} - more


def test_what_guards_hold_and_why_is_in_their_answers(server, guards, document):
    """The comparison above would be worth little if nothing were held."""
    run = server.start()
    id = server.kit("/tasks", params={"run_id": run, "task_id": "extract"}).json()["tasks"][0]["id"]
    server.query("UPDATE task_instance SET state = 'scheduled' WHERE id = %s", id)
    server.kit("/limits/crm-db/suspend", "POST", json=WHY).raise_for_status()
    server.kit("/breakers/crm/trip", "POST", json=WHY).raise_for_status()
    answers = {path: server.kit(path.format(id=id, limit="crm-db", breaker="crm")) for path in GUARDS}
    limit, waits = answers["/limits/{limit}"].json(), answers[f"{TASK}/waits"].json()
    assert limit["tokens"] == [{"token": "", "taken": 0, "waiting": 1}] and limit["suspended"] and waits["since"]
    assert answers["/breakers/{breaker}"].json()["breakers"][0]["until"]
    for path, answer in answers.items():
        check(document, "GET", path, answer)
