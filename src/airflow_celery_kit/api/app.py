"""Runs in: airflow-apiserver; the routes below /kit/v1, behind Airflow's own login and permissions."""

from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import requires_access_view
from fastapi import APIRouter, Depends, FastAPI, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from airflow_celery_kit.api import snapshot
from airflow_celery_kit.api.metrics import QueueMetrics

router = APIRouter()


def build(auth_manager: Any) -> FastAPI:
    """Return the application. Every route needs a user who may see the cluster's activity; without login 401, without permission 403.

    FastAPI's own pages are left out: they would answer everybody.
    """
    permission = Depends(requires_access_view(AccessView.CLUSTER_ACTIVITY))
    app = FastAPI(title="airflow-celery-kit", openapi_url=None, dependencies=[permission])
    # Airflow's dependencies look for it in the application that answers, which is this one.
    app.state.auth_manager = auth_manager
    app.include_router(router)
    return app


@router.get("/queues")
def queues(session: SessionDep) -> dict[str, Any]:
    """Return what waits in each queue and priority step, and how long."""
    return snapshot.answer(snapshot.read(session))


@router.get("/metrics")
def metrics(session: SessionDep) -> Response:
    """Return the same for Prometheus, in its text format."""
    text = generate_latest(QueueMetrics(snapshot.read(session)))
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)
