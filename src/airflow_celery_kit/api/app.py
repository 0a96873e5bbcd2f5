"""Runs in: airflow-apiserver; the routes below /kit/v1, behind Airflow's own login and permissions."""

from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.common.exceptions import ERROR_HANDLERS
from airflow.api_fastapi.core_api.security import get_user, requires_access_view
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from psycopg2.errors import InsufficientPrivilege, InvalidSchemaName, UndefinedTable
from sqlalchemy.exc import ProgrammingError

from airflow_celery_kit.api import actions, bulk, console_files, records, snapshot
from airflow_celery_kit.api.metrics import QueueMetrics
from airflow_celery_kit.journal.reader import AwayError

router = APIRouter()
NOT_MADE = "the journal's tables are not there, or not for this role: a scheduler with KIT_JOURNAL_CONN makes them, its log says why it cannot"


def build(auth_manager: Any, dag_bag: Any = None) -> FastAPI:
    """Return the application. Every route needs a login, else 401, and a permission of Airflow's, else 403.

    FastAPI's own pages are left out: they would answer everybody.
    """
    app = FastAPI(title="airflow-celery-kit", openapi_url=None, dependencies=[Depends(get_user)])
    # Airflow's dependencies look for them in the application that answers, which is this one.
    app.state.auth_manager, app.state.dag_bag = auth_manager, dag_bag
    app.include_router(router, dependencies=[Depends(requires_access_view(AccessView.CLUSTER_ACTIVITY))])
    app.include_router(records.router)
    app.include_router(bulk.router)
    app.include_router(actions.router)
    app.include_router(console_files.router)
    for handler in ERROR_HANDLERS:
        app.add_exception_handler(handler.exception_cls, handler.exception_handler)
    app.add_exception_handler(RequestValidationError, refused)
    app.add_exception_handler(AwayError, away)
    app.add_exception_handler(ProgrammingError, not_made)
    return app


def refused(_: Request, problem: RequestValidationError) -> JSONResponse:
    """Answer a request that cannot be meant, with a sentence as Airflow's other errors have."""
    said = [f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in problem.errors()[:3]]
    return JSONResponse({"detail": "; ".join(said)}, 422)


def away(_: Request, problem: AwayError) -> JSONResponse:
    """Answer while the journal's database is away."""
    return JSONResponse({"detail": "the journal's database does not answer"}, 503)


def not_made(_: Request, problem: ProgrammingError) -> JSONResponse:
    """Answer where a table is not there. Raises what else a statement may be wrong with."""
    if not isinstance(problem.orig, (UndefinedTable, InvalidSchemaName, InsufficientPrivilege)):
        raise problem
    return JSONResponse({"detail": NOT_MADE}, 503)


@router.get("/queues")
def queues(session: SessionDep) -> dict[str, Any]:
    """Return what waits in each queue and priority step, and how long."""
    return snapshot.answer(snapshot.read(session))


@router.get("/metrics")
def metrics(session: SessionDep) -> Response:
    """Return the same for Prometheus, in its text format."""
    text = generate_latest(QueueMetrics(snapshot.read(session)))
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)
