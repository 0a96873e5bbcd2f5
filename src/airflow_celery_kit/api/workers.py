"""Runs in: airflow-apiserver; the routes of workers: who is there, who is to take no task, and since when.

The api-server reaches no broker: it leaves the order in Airflow's database, the leading controller carries it to the broker at its next
look, and the worker says in its report that it has heeded it.
"""

from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_pool, requires_access_view
from fastapi import APIRouter, Depends, HTTPException, Response
from sqlalchemy import text

from airflow_celery_kit.api import snapshot
from airflow_celery_kit.api.actions import note
from airflow_celery_kit.api.answers.actions import WorkerOrdered
from airflow_celery_kit.api.answers.plain import as_it_is
from airflow_celery_kit.api.answers.queues import Workers, WorkerState
from airflow_celery_kit.worker.broker import DRAIN, WORK

router = APIRouter()
MAY_READ = Depends(requires_access_view(AccessView.CLUSTER_ACTIVITY))
# As sizing a pool it decides how much may run, for everybody.
MAY_CHANGE = Depends(requires_access_pool("PUT"))
ORDERS = text("SELECT worker, wanted, who, at FROM kit.worker_order")
ORDER = text("""
INSERT INTO kit.worker_order AS known (worker, wanted, who) VALUES (:worker, :wanted, :who)
ON CONFLICT (worker) DO UPDATE SET wanted = excluded.wanted, who = excluded.who, at = excluded.at WHERE known.wanted <> excluded.wanted
""")
LIFT = text(
    "UPDATE kit.worker_order SET wanted = :wanted, who = :who, at = clock_timestamp() WHERE worker = :worker AND wanted <> :wanted"
)


@router.get("/workers", dependencies=[MAY_READ], response_model=Workers)
def workers(session: SessionDep) -> Response:
    """Return every live worker, and those that are away while they are to take no task.

    Its state is `working`, `asked` until it heeds the order, `draining` while it holds tasks, `drained`, `resuming` or `away`.
    """
    seen = snapshot.answer(snapshot.read(session))
    orders = {row.worker: row for row in session.execute(ORDERS)}
    live = {one["name"]: one for one in seen["workers"]}
    away = [name for name, order in orders.items() if name not in live and order.wanted == DRAIN]
    found = [shown(name, live.get(name), orders.get(name)) for name in sorted([*live, *away])]
    look = {name: seen[name] for name in ("at", "age_seconds", "stale", "reason")}
    return as_it_is(look | {"workers": found})


@router.post("/workers/{name}/drain", dependencies=[MAY_CHANGE])
def drain_worker(name: str, session: SessionDep, user: GetUserDep) -> WorkerOrdered:
    """Have a worker take no task until it is resumed: what runs finishes, the process stays, also when it starts or connects again."""
    seen = looked(session)
    if name not in {one["name"] for one in seen.facts.get("workers", ())}:
        raise HTTPException(404, f"there is no worker {name}")
    return ordered(ORDER, name, DRAIN, "it is to take no task already", session, user)


@router.post("/workers/{name}/resume", dependencies=[MAY_CHANGE])
def resume_worker(name: str, session: SessionDep, user: GetUserDep) -> WorkerOrdered:
    """Have a worker take tasks again."""
    looked(session)
    return ordered(LIFT, name, WORK, f"nobody has told {name} to take no task", session, user)


def looked(session: Any) -> snapshot.Snapshot:
    """Return the last look at the broker. Raises HTTPException where no controller looks, who would carry out what is asked."""
    seen = snapshot.read(session)
    if seen is None or seen.stale:
        raise HTTPException(503, snapshot.why(seen) if seen else snapshot.NEVER)
    return seen


def ordered(statement: Any, name: str, wanted: str, otherwise: str, session: Any, user: Any) -> WorkerOrdered:
    """Leave an order and write it to Airflow's audit log. Raises HTTPException with `otherwise` where it changes nothing."""
    values = {"worker": name, "wanted": wanted, "who": user.get_name()}
    if not session.execute(statement, values).rowcount:
        raise HTTPException(409, otherwise)
    verb = "drain" if wanted == DRAIN else "resume"
    note(f"kit_{verb}_worker", user, session, extra={"worker": name})
    return WorkerOrdered(name=name, wanted=wanted)


def shown(name: str, live: dict[str, Any] | None, order: Any) -> dict[str, Any]:
    """Return one worker with what it is to do and whether it does."""
    known = {
        field: (live or {}).get(field) for field in ("queues", "slots", "held", "busy", "memory_bytes", "host", "since")
    }
    drain = bool(order and order.wanted == DRAIN)
    asked = {"asked_by": order.who, "asked_at": order.at.isoformat()} if order else {"asked_by": None, "asked_at": None}
    return {"name": name, "state": state(live, drain), **known, **asked}


def state(live: dict[str, Any] | None, drain: bool) -> WorkerState:
    """Return what a worker is doing, by its last report and by what it is to do."""
    if live is None:
        return WorkerState.AWAY
    if not drain:
        return WorkerState.RESUMING if live.get("drained") else WorkerState.WORKING
    if not live.get("drained"):
        return WorkerState.ASKED
    return WorkerState.DRAINING if live["held"] else WorkerState.DRAINED
