"""Runs in: airflow-apiserver; the routes below /kit/v1, behind Airflow's own login and permissions."""

import os
from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import get_user, requires_access_view
from airflow.utils.session import create_session
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from airflow_celery_kit.api import actions, bulk, console_files, guards, health, problems, records, snapshot, workers
from airflow_celery_kit.api.answers.document import Document
from airflow_celery_kit.api.answers.plain import as_it_is
from airflow_celery_kit.api.answers.queues import Queues
from airflow_celery_kit.api.asked import only_known
from airflow_celery_kit.api.limits import Limits
from airflow_celery_kit.api.metrics import text as scrape
from airflow_celery_kit.api.scrape import TOKEN_FILE, Scrape, token_in

router, documents = APIRouter(), APIRouter()
TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {CONTENT_TYPE_PLAIN_0_0_4: {"schema": {"type": "string"}}}}}


def build(auth_manager: Any, dag_bag: Any = None) -> FastAPI:
    """Return the application. Every route needs a login, else 401, and a permission of Airflow's, else 403.

    FastAPI's own pages are left out: they would answer everybody.
    """
    app = FastAPI(
        title="airflow-celery-kit",
        openapi_url=None,
        redirect_slashes=False,
        dependencies=[Depends(get_user), Depends(only_known)],
        responses=problems.RESPONSES,
        generate_unique_id_function=lambda route: route.name,
    )
    # Airflow's dependencies look for them in the application that answers, which is this one.
    app.state.auth_manager, app.state.dag_bag = auth_manager, dag_bag
    app.include_router(documents, dependencies=[Depends(requires_access_view(AccessView.DOCS))])
    app.include_router(router, dependencies=[Depends(requires_access_view(AccessView.CLUSTER_ACTIVITY))])
    app.include_router(health.router)
    app.include_router(workers.router)
    app.include_router(records.router)
    app.include_router(bulk.router)
    app.include_router(actions.router)
    app.include_router(guards.router)
    app.include_router(console_files.router)
    health.install(app)
    problems.install(app)
    app.add_middleware(Limits)
    app.add_middleware(Scrape, token=token_in(os.environ.get(TOKEN_FILE)), metrics=scraped)
    return app


def scraped() -> bytes:
    """Return the metrics, with a session of its own."""
    with create_session(scoped=False) as session:
        return metrics_of(session)


def metrics_of(session: Any) -> bytes:
    """Return everything that Prometheus may want to know, in its text format."""
    return scrape(session, records.reader_or_none())


@documents.get("/openapi.json", response_model=Document)
def openapi(request: Request) -> Response:
    """Return what this page says, for programs: every route as an OpenAPI document."""
    return as_it_is(request.app.openapi() | {"servers": [{"url": request.scope["root_path"]}]})


@router.get("/queues", response_model=Queues)
def queues(session: SessionDep) -> Response:
    """Return what waits in each queue and priority step, and how long."""
    return as_it_is(snapshot.answer(snapshot.read(session)))


@router.get("/metrics", response_class=Response, responses=TEXT)
def metrics(session: SessionDep) -> Response:
    """Return everything that Prometheus may want to know, in its text format."""
    return Response(metrics_of(session), media_type=CONTENT_TYPE_PLAIN_0_0_4)
