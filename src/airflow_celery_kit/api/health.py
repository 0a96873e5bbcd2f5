"""Runs in: airflow-apiserver; what the leading controller has judged: with reasons for who has logged in, in a word for load balancers."""

import time
from asyncio import wrap_future
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import requires_access_view
from anyio import move_on_after
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
READY_SECONDS, KEPT_SECONDS, MOST_LOOKS = 5.0, 1.0, 8
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


def look(told: Future[dict[str, Any]]) -> None:
    """Ask the database, and tell what `answer` says; NOBODY while it is away."""
    from airflow.utils.session import create_session

    found = NOBODY
    try:
        with suppress(SQLAlchemyError), create_session(scoped=False) as session:
            found = answer(snapshot.read(session, WHAT), time.time())
    except Exception as problem:
        told.set_exception(problem)
    else:
        told.set_result(found)


class Looks:
    """One look at the database for all who ask at a time, kept for a moment: however many ask, none takes another's place.

    A database that is frozen does not answer: each look is left alone in its thread, and not many of them.
    """

    def __init__(self) -> None:
        self.begun, self.last = float("-inf"), Future[dict[str, Any]]()
        self.last.set_result(NOBODY)
        self.under_way: list[Future[dict[str, Any]]] = []

    def latest(self, now: float) -> Future[dict[str, Any]]:
        """Return the last look, or another one where it is old or late. `now` is steady."""
        self.under_way = [one for one in self.under_way if not one.done()]
        is_over = now - self.begun >= (KEPT_SECONDS if self.last.done() else READY_SECONDS)
        if is_over and len(self.under_way) < MOST_LOOKS:
            self._begin(now)
        return self.last

    def _begin(self, now: float) -> None:
        told: Future[dict[str, Any]] = Future()
        # Else who gives up would cancel it for all.
        told.set_running_or_notify_cancel()
        Thread(target=look, args=(told,), name="health ready", daemon=True).start()
        self.begun, self.last = now, told
        self.under_way.append(told)


async def ready(request: Request) -> JSONResponse:
    """Answer whoever asks, without a login: 200 while tasks can run, else 503, with the state, and whether a controller has judged it.

    What is told may be a second old.
    """
    found = NOBODY
    with move_on_after(READY_SECONDS):
        found = await wrap_future(request.app.state.looks.latest(time.monotonic()))
    said = {"state": found["state"], "judged": found.get("at") is not None}
    return JSONResponse(said, 200 if found["ready"] else 503)


async def live(_: Request) -> JSONResponse:
    """Answer whoever asks, without a login, that the api-server answers, whatever is wrong with the rest."""
    # A coroutine: all threads may wait for the database.
    return JSONResponse({"state": str(State.HEALTHY)})


def install(app: FastAPI) -> None:
    """Add the two routes that ask for no login."""
    app.state.looks = Looks()
    app.add_route("/health/ready", ready, methods=["GET"])
    app.add_route("/health/live", live, methods=["GET"])
