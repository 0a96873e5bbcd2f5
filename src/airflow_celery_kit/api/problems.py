"""Runs in: airflow-apiserver; every refusal as one sentence, in one shape, also where Airflow or the database would say something else."""

from http import HTTPStatus
from typing import Any

from airflow.exceptions import DeserializationError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg2.errors import InsufficientPrivilege, InvalidSchemaName, UndefinedFunction, UndefinedTable
from pydantic import BaseModel, Field
from sqlalchemy.exc import DataError, IntegrityError, OperationalError, ProgrammingError
from starlette.exceptions import HTTPException

from airflow_celery_kit.journal.reader import AwayError


class Problem(BaseModel):
    """A refusal."""

    detail: str = Field(description="The sentence that says why.")


MEANINGS = {
    400: "It cannot be done like this.",
    401: "Nobody has logged in.",
    403: "The user may not do this.",
    404: "There is no such thing, or the user may not see it.",
    409: "It is not possible as things are now.",
    412: "It has changed since it was looked at.",
    413: "The body is too large.",
    422: "What was sent is not what is asked for.",
    503: "A database is away.",
}
# For the document: any route may answer with one of these.
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": meaning} for status, meaning in MEANINGS.items()
}
# What the databases say, and what is said of it; their own words may hold what was sent.
OF_DATABASES = (
    (IntegrityError, 409, "somebody else did the same at this moment: look again"),
    (DataError, 422, "the database does not take a value of this"),
    (OperationalError, 503, "Airflow's database does not answer"),
    (AwayError, 503, "the journal's database does not answer"),
    (DeserializationError, 409, "Airflow cannot read this Dag as it is stored: see the log of its Dag processor"),
)
NO_GUARDS = "limits and breakers are not there: airflow-init makes them, in the kit's own stacks"
# Which permission of Airflow's a route needs, by method and the first part of its path.
PERMISSIONS = {
    ("GET", "openapi.json"): "read Docs",
    ("GET", "queues"): "read Cluster Activity",
    ("GET", "metrics"): "read Cluster Activity",
    ("GET", "workers"): "read Cluster Activity",
    ("POST", "workers"): "edit Pools",
    ("GET", "health"): "read Cluster Activity",
    ("GET", "limits"): "read Cluster Activity",
    ("POST", "limits"): "edit Pools",
    ("GET", "breakers"): "read Cluster Activity",
    ("POST", "breakers"): "edit Pools",
    ("GET", "overview"): "read Task Instances",
    ("GET", "console"): "read Task Instances",
    ("GET", "tasks"): "read Task Instances",
    ("POST", "tasks"): "edit Task Instances",
    ("GET", "workflows"): "read Dag Runs",
    ("POST", "workflows"): "edit Dag Runs",
}
START = "create Dag Runs"
LACKING = "your roles lack the permission to {}"
NOT_MADE = "the journal's tables are not there, or not for this role: a scheduler with KIT_JOURNAL_CONN makes them, its log says why it cannot"


def install(app: FastAPI) -> None:
    """Have an application answer like this."""
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, unfit)
    for kind, status, sentence in OF_DATABASES:
        app.add_exception_handler(kind, _saying(status, sentence))
    app.add_exception_handler(ProgrammingError, not_made)


def answer(status: int, sentence: str, headers: Any = None) -> JSONResponse:
    """Return a refusal."""
    return JSONResponse({"detail": sentence}, status, headers)


def refused(request: Request, problem: Exception) -> JSONResponse:
    """Answer what a route refuses; some of Airflow's say it in several fields, or in a dump below the sentence."""
    assert isinstance(problem, HTTPException)
    said: Any = problem.detail or HTTPStatus(problem.status_code).phrase
    sentence = said if isinstance(said, str) else str(said.get("reason", said) if isinstance(said, dict) else said)
    if problem.status_code == 403 and sentence == "Forbidden":
        sentence = forbidden(request.method, request.scope["path"].removeprefix(request.scope["root_path"]))
    return answer(problem.status_code, sentence.partition("\n\n")[0], problem.headers)


def forbidden(method: str, path: str) -> str:
    """Return which permission is missing. `path` is that below /kit/v1."""
    needed = START if (method, path) == ("POST", "/workflows") else PERMISSIONS.get((method, path.split("/")[1]))
    return LACKING.format(needed or f"{method} {path}")


def unfit(_: Request, problem: Exception) -> JSONResponse:
    """Answer a request that cannot be meant."""
    assert isinstance(problem, RequestValidationError)
    said = [
        f"{'.'.join(map(str, one['loc'][1:] or one['loc']))}: {one['msg'].removeprefix('Value error, ')}"
        for one in problem.errors()
    ]
    if broken := [one for one in problem.errors() if one["type"] == "json_invalid"]:
        said = [f"the body is no JSON: {one['ctx']['error']} at character {one['loc'][-1]}" for one in broken]
    # What several parts of a route ask for is refused by each of them.
    return answer(422, "; ".join(list(dict.fromkeys(said))[:3]))


def not_made(_: Request, problem: Exception) -> JSONResponse:
    """Answer where a table is not there. Raises what else a statement may be wrong with."""
    assert isinstance(problem, ProgrammingError)
    if isinstance(problem.orig, UndefinedFunction) or ' "kit.guard' in str(problem.orig):
        return answer(503, NO_GUARDS)
    if not isinstance(problem.orig, UndefinedTable | InvalidSchemaName | InsufficientPrivilege):
        raise problem
    return answer(503, NOT_MADE)


def _saying(status: int, sentence: str) -> Any:
    def said(_: Request, problem: Exception) -> JSONResponse:
        return answer(status, sentence)

    return said
