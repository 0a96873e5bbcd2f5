"""Runs in: airflow-apiserver; what the leading controller has judged: with reasons for who has logged in, in a word for load balancers."""

import time
from contextlib import suppress
from threading import BoundedSemaphore
from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import requires_access_view
from anyio import CapacityLimiter, move_on_after, to_thread
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
READY_SECONDS, MOST_LOOKS = 5.0, 8
# What is said while the database does not answer.
NOBODY = {"state": str(State.UNHEALTHY), "ready": False}
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


class Places:
    """How many looks may wait for the database at a time: one that is frozen does not answer, and each look is left alone in its thread."""

    def __init__(self) -> None:
        self.free = BoundedSemaphore(MOST_LOOKS)

    def look(self) -> dict[str, Any]:
        """Return what `answer` does, or NOBODY where no place is free. Raises SQLAlchemyError while the database is away."""
        from airflow.utils.session import create_session

        # Taken and given back by the thread: a request that is given up can keep none.
        if not self.free.acquire(blocking=False):
            return NOBODY
        try:
            with create_session(scoped=False) as session:
                return answer(snapshot.read(session, WHAT), time.time())
        finally:
            self.free.release()


async def ready(request: Request) -> JSONResponse:
    """Answer whoever asks, without a login: 200 while tasks can run, else 503, with the state and nothing else."""
    found = NOBODY
    with move_on_after(READY_SECONDS), suppress(SQLAlchemyError):
        found = await to_thread.run_sync(
            request.app.state.places.look, abandon_on_cancel=True, limiter=CapacityLimiter(1)
        )
    return JSONResponse({"state": found["state"]}, 200 if found["ready"] else 503)


async def live(_: Request) -> JSONResponse:
    """Answer whoever asks, without a login, that the api-server answers, whatever is wrong with the rest."""
    # A coroutine: all threads may wait for the database.
    return JSONResponse({"state": str(State.HEALTHY)})


def install(app: FastAPI) -> None:
    """Add the two routes that ask for no login."""
    app.state.places = Places()
    app.add_route("/health/ready", ready, methods=["GET"])
    app.add_route("/health/live", live, methods=["GET"])
