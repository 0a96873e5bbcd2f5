"""Runs in: airflow-apiserver; what the leading controller has judged: with reasons for who has logged in, in a word for load balancers."""

import time
from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import requires_access_view
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse

from airflow_celery_kit.api import snapshot
from airflow_celery_kit.api.answers.health import Health
from airflow_celery_kit.api.answers.plain import as_it_is
from airflow_celery_kit.core.health import State, Verdict, report

router = APIRouter()
WHAT = "health"
NEVER = "no controller has looked yet: one runs in the kit's own stacks"
CURE = "see 'kit status' and 'kit logs airflow-controller'"


@router.get("/health", dependencies=[Depends(requires_access_view(AccessView.CLUSTER_ACTIVITY))], response_model=Health)
def health(session: SessionDep) -> Response:
    """Return the state of everything, the worst first: since when, why, and what to do. Verdicts that nobody renews are Unhealthy."""
    return as_it_is(answer(snapshot.read(session, WHAT), time.time()))


def answer(seen: snapshot.Snapshot | None, now: float) -> dict[str, Any]:
    """Return what `GET /kit/v1/health` says. `now` is in seconds since 1970."""
    verdicts = [Verdict.of(one) for one in seen.facts["verdicts"]] if seen else []
    if reason := stale(seen):
        since = seen.at.timestamp() if seen else now
        # Tasks run without a controller, too: only one that was there and is gone says that something is wrong with them.
        verdicts.append(Verdict(WHAT, WHAT, State.UNHEALTHY, since, reason, CURE, vital=seen is not None))
    known = {"at": seen.at.isoformat() if seen else None, "age_seconds": seen.age_seconds if seen else None}
    return report(verdicts) | known | {"stale": bool(reason), "reason": reason}


def stale(seen: snapshot.Snapshot | None) -> str:
    """Return why verdicts may long be wrong, nothing where they are fresh."""
    if seen is None:
        return NEVER
    return (
        f"the last verdicts are {seen.age_seconds:.0f} s old: no controller leads, or it is cut off"
        if seen.stale
        else ""
    )


def ready(_: Request) -> JSONResponse:
    """Answer whoever asks, without a login: 200 while tasks can run, else 503, with the state and nothing else."""
    from airflow.utils.session import create_session

    try:
        with create_session(scoped=False) as session:
            found = answer(snapshot.read(session, WHAT), time.time())
    except SQLAlchemyError:
        found = {"state": str(State.UNHEALTHY), "ready": False}
    return JSONResponse({"state": found["state"]}, 200 if found["ready"] else 503)


def live(_: Request) -> JSONResponse:
    """Answer whoever asks, without a login, that the api-server answers, whatever is wrong with the rest."""
    return JSONResponse({"state": str(State.HEALTHY)})


def install(app: FastAPI) -> None:
    """Add the two routes that ask for no login."""
    app.add_route("/health/ready", ready, methods=["GET"])
    app.add_route("/health/live", live, methods=["GET"])
