"""Runs in: airflow-apiserver; the routes of limits and breakers: what they hold, and what operators do to them, with a reason on record."""

import json
from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import (
    AuthManagerDep,
    GetUserDep,
    requires_access_dag,
    requires_access_pool,
    requires_access_view,
)
from fastapi import APIRouter, Depends, HTTPException, Path, Response
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from sqlalchemy import text

from airflow_celery_kit.api.actions import note, plain
from airflow_celery_kit.api.answers.guards import (
    BreakerChanged,
    Breakers,
    Limit,
    LimitResumed,
    Limits,
    LimitSuspended,
    Waits,
)
from airflow_celery_kit.api.etags import UNCHANGED, AnswerDep
from airflow_celery_kit.api.records import ReaderDep, task_record
from airflow_celery_kit.api.visible import LoggedDep, VisibleDep
from airflow_celery_kit.core.guards.reasons import MOST, flaw
from airflow_celery_kit.core.words import missing
from airflow_celery_kit.guards import reader
from airflow_celery_kit.guards.scopes import THERE, ScopeError, scope

router = APIRouter()
MAY_READ = Depends(requires_access_view(AccessView.CLUSTER_ACTIVITY))
MAY_READ_TASKS = Depends(requires_access_dag("GET", DagAccessEntity.TASK_INSTANCE))
# As sizing a pool it decides what may run, for everybody.
MAY_CHANGE = Depends(requires_access_pool("PUT"))
TURN = text("SELECT kit.guard_turn(:guard)")
SUSPEND = text("SELECT kit.guard_suspend(:guard, :who, :reason, CAST(:made AS jsonb))")
RESUME = text("SELECT kit.guard_resume(:guard, :who, :reason)")
TRIP = text("SELECT kit.breaker_trip(:guard, :token, :who, :reason, :seconds)")
RESET = text("SELECT kit.breaker_reset(:guard, :token, :who, :reason)")
KNOWN = text("SELECT 1 FROM kit.guard WHERE id = :guard")
COUNTED_BY = text("SELECT token FROM kit.guard WHERE id = :guard")
NAMES = text("SELECT name FROM kit.guard WHERE kind = :kind")
MADE_BY = "config/limits.yaml or a Dag makes them"
Named = Annotated[str, Path(min_length=1, max_length=400)]


def worded(reason: Any) -> Any:
    """Return a reason. Raises ValueError that says what to write, where pydantic would count characters."""
    if isinstance(reason, str) and (wrong := flaw(reason)):
        raise ValueError(wrong)
    return reason


class Reason(BaseModel):
    """Why something is done; it is shown to whoever waits."""

    model_config = ConfigDict(extra="forbid")
    reason: Annotated[str, Field(min_length=1, max_length=MOST), BeforeValidator(worded), AfterValidator(plain)]


class OfBreaker(Reason):
    """Which of a breaker's tokens is meant, where it has several."""

    token: Annotated[str, Field(max_length=500), AfterValidator(plain)] = ""


class Trip(OfBreaker):
    """How long it stays open, in seconds; its own time where nobody says."""

    seconds: Annotated[float, Field(gt=0, le=31_536_000)] | None = None


def names_for(user: GetUserDep, manager: AuthManagerDep) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return what of a row somebody is told: users, Dags and values of runs only who may change limits."""
    return dict if manager.is_authorized_pool(method="PUT", user=user) else without_names


def without_names(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row that names no user, Dag, run or value of one: tokens together, a mistake without its words."""
    told = {name: None for name in ("last",) if name in row} | {name: "" for name in ("token",) if name in row}
    if row.get("tokens"):
        told["tokens"] = [
            {"token": "", **{name: sum(one[name] for one in row["tokens"]) for name in ("taken", "waiting")}}
        ]
    return row | told


NamesDep = Annotated[Callable[[dict[str, Any]], dict[str, Any]], Depends(names_for)]


@router.get("/limits", dependencies=[MAY_READ], response_model=Limits, responses=UNCHANGED)
def limits(answer: AnswerDep, session: SessionDep, names: NamesDep) -> Response:
    """Return every limit with what it holds and what waits; names that Dags use and nobody defines; what is wrong with file and guards."""
    found = reader.limits(session)
    return answer(found | {"limits": [names(row) for row in found["limits"]], "faults": names(found["faults"])})


@router.get("/limits/{limit}", dependencies=[MAY_READ], response_model=Limit, responses=UNCHANGED)
def limit(limit: Named, answer: AnswerDep, session: SessionDep, names: NamesDep) -> Response:
    """Return one limit."""
    return answer(names(one(reader.limits(session)["limits"], limit, "limit")))


@router.post("/limits/{limit}/suspend", dependencies=[MAY_CHANGE])
def suspend_limit(limit: Named, body: Reason, session: SessionDep, user: GetUserDep) -> LimitSuspended:
    """Let nothing of a limit begin until it is resumed; what was scheduled or queued waits again, what runs finishes.

    `dag:ID`, `task:DAG.TASK`, `pool:NAME` and `queue:NAME` suspend what has no limit of its own.
    """
    guard, made = f"limit {limit}", None
    session.execute(TURN, {"guard": guard})
    if not session.execute(KNOWN, {"guard": guard}).scalar():
        made = made_for(limit, session)
    values = {"guard": guard, "who": user.get_name(), "reason": body.reason, "made": json.dumps(made) if made else None}
    taken = session.execute(SUSPEND, values).scalar()
    if taken is None:
        raise HTTPException(409, f"{limit} is suspended already: resume it first to change the reason")
    note("kit_suspend_limit", user, session, extra={"limit": limit, "reason": body.reason})
    return LimitSuspended(limit=limit, suspended=True, taken_back=taken)


@router.post("/limits/{limit}/resume", dependencies=[MAY_CHANGE])
def resume_limit(limit: Named, body: Reason, session: SessionDep, user: GetUserDep) -> LimitResumed:
    """Let what waits for a suspended limit begin again."""
    guard = f"limit {limit}"
    session.execute(TURN, {"guard": guard})
    waiting = session.execute(RESUME, {"guard": guard, "who": user.get_name(), "reason": body.reason}).scalar()
    if waiting is None:
        # One that nobody makes any more may be suspended still.
        if not session.execute(KNOWN, {"guard": guard}).scalar():
            raise HTTPException(404, missing("limit", limit, named("limit", session), MADE_BY))
        raise HTTPException(409, f"{limit} is not suspended")
    note("kit_resume_limit", user, session, extra={"limit": limit, "reason": body.reason})
    return LimitResumed(limit=limit, suspended=False, waiting=waiting)


@router.get("/breakers", dependencies=[MAY_READ], response_model=Breakers, responses=UNCHANGED)
def breakers(answer: AnswerDep, session: SessionDep, names: NamesDep) -> Response:
    """Return every breaker: `closed`, `open` until a time, or `half-open` while one task tries it out; why, since when, and how many wait."""
    return answer({"breakers": [names(row) for row in reader.breakers(session)]})


@router.get("/breakers/{breaker}", dependencies=[MAY_READ], response_model=Breakers, responses=UNCHANGED)
def breaker(breaker: Named, answer: AnswerDep, session: SessionDep, names: NamesDep) -> Response:
    """Return one breaker, with each of its tokens."""
    rows = reader.breakers(session)
    one(rows, breaker, "breaker")
    return answer({"breakers": [names(row) for row in rows if row["name"] == breaker]})


@router.post("/breakers/{breaker}/trip", dependencies=[MAY_CHANGE])
def trip_breaker(breaker: Named, body: Trip, session: SessionDep, user: GetUserDep) -> BreakerChanged:
    """Open a breaker, for its own time or for so many seconds; what was let in and has not begun waits again."""
    if (by := counted(breaker, body, session)) in THERE:
        made_for(f"{by}:{body.token}", session)
    values = {"token": body.token, "seconds": body.seconds, **said(breaker, body, user)}
    if session.execute(TRIP, values).scalar() is None:
        raise HTTPException(404, f"there is no breaker {breaker} any more: see 'kit breakers list'")
    note("kit_trip_breaker", user, session, extra={"breaker": breaker, "reason": body.reason})
    return BreakerChanged(breaker=breaker, token=body.token, state="open")


@router.post("/breakers/{breaker}/reset", dependencies=[MAY_CHANGE])
def reset_breaker(breaker: Named, body: OfBreaker, session: SessionDep, user: GetUserDep) -> BreakerChanged:
    """Close a breaker that is open or half-open."""
    counted(breaker, body, session)
    if session.execute(RESET, {"token": body.token, **said(breaker, body, user)}).scalar() is None:
        raise HTTPException(409, f"{breaker} is closed: there is nothing to reset")
    note("kit_reset_breaker", user, session, extra={"breaker": breaker, "reason": body.reason})
    return BreakerChanged(breaker=breaker, token=body.token, state="closed")


@router.get("/tasks/{id}/waits", dependencies=[MAY_READ_TASKS], response_model=Waits, responses=UNCHANGED)
def task_waits(
    id: UUID, answer: AnswerDep, session: SessionDep, journal: ReaderDep, dags: VisibleDep, logs: LoggedDep
) -> Response:
    """Return what limit or breaker a task waits for, in one sentence, and since when; null where none keeps it out."""
    task_record(journal, dags, logs, id)
    return answer(reader.waits(session, id))


def made_for(name: str, session: Any) -> dict[str, Any]:
    """Return the limit that stands for a scope. Raises HTTPException where there is no such thing."""
    try:
        return scope(name, lambda statement, value: session.execute(text(statement), {"name": value}).scalar())
    except ScopeError as problem:
        raise HTTPException(404, str(problem)) from problem


def counted(breaker: str, body: OfBreaker, session: Any) -> str:
    """Return what a breaker is counted by. Raises HTTPException where it is not there, or takes a token and none is given, or the other way round."""
    by = session.execute(COUNTED_BY, {"guard": f"breaker {breaker}"}).scalar()
    if by is None:
        raise HTTPException(404, missing("breaker", breaker, named("breaker", session), MADE_BY))
    if by and not body.token:
        raise HTTPException(422, f"{breaker} is counted by {by}: say by `token` (kit: --of) which one is meant")
    if body.token and not by:
        raise HTTPException(422, f"{breaker} is one for all: leave `token` (kit: --of) out")
    return str(by)


def named(kind: str, session: Any) -> list[str]:
    """Return the names of all limits or breakers."""
    return list(session.execute(NAMES, {"kind": kind}).scalars())


def said(breaker: str, body: Reason, user: Any) -> dict[str, Any]:
    """Return what a change of a breaker is told."""
    return {"guard": f"breaker {breaker}", "who": user.get_name(), "reason": body.reason}


def one(found: list[dict[str, Any]], name: str, kind: str) -> dict[str, Any]:
    """Return what has a name. Raises HTTPException where nothing does."""
    for row in found:
        if row["name"] == name:
            return row
    raise HTTPException(404, missing(kind, name, {row["name"] for row in found}, MADE_BY))
