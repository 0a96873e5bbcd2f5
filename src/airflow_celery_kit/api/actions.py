"""Runs in: airflow-apiserver; the routes that change something: tasks are cancelled and retried, workflows started, paused, cancelled, retried.

Each is one transaction in Airflow's database: the change, its event for the journal with who asked for it, Airflow's audit log, and the
order to the controller to take a message out of the broker, which the api-server cannot reach.
"""

import json
from typing import Annotated, Any
from uuid import UUID

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.common.dagbag import DagBagDep, get_dag_for_run
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.datamodels.dag_run import TriggerDAGRunPostBody
from airflow.api_fastapi.core_api.routes.public.dag_run import trigger_dag_run
from airflow.api_fastapi.core_api.security import AuthManagerDep, GetUserDep, requires_access_dag
from airflow.models import DagModel, Log
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance, clear_task_instances
from airflow.models.taskinstancehistory import TaskInstanceHistory
from airflow.utils.state import DagRunState, State, TaskInstanceState
from fastapi import APIRouter, Body, Depends, HTTPException, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy import select, text

from airflow_celery_kit.api.answers.actions import (
    RunCancelled,
    RunPaused,
    RunResumed,
    RunRetried,
    RunStarted,
    TaskCancelled,
    TaskRetried,
)
from airflow_celery_kit.api.answers.fields import said
from airflow_celery_kit.api.conditions import SAME_RUN, SAME_TASK
from airflow_celery_kit.api.limits import flaw
from airflow_celery_kit.api.problems import LACKING

router = APIRouter()
MAY_START = Depends(requires_access_dag("POST", DagAccessEntity.RUN))
MAY_CHANGE = Depends(requires_access_dag("PUT", DagAccessEntity.RUN))
MAY_CHANGE_TASKS = Depends(requires_access_dag("PUT", DagAccessEntity.TASK_INSTANCE))
SENT = (TaskInstanceState.SCHEDULED, TaskInstanceState.QUEUED)
FAILED = (TaskInstanceState.FAILED, TaskInstanceState.UPSTREAM_FAILED)
# As outbox.sql writes them, and where it does.
TELL = text("""
INSERT INTO kit.change (kind, source, task, dag_id, run_id, task_id, map_index, attempt, message, facts)
SELECT :kind, 'operator', CAST(:task AS uuid), :dag_id, :run_id, :task_id, CAST(:map_index AS integer), CAST(:attempt AS integer), :message,
    CAST(:facts AS jsonb) WHERE kit.is_told()
""")
PAUSE = text("INSERT INTO kit.paused (dag_id, run_id, who) VALUES (:dag_id, :run_id, :who) ON CONFLICT DO NOTHING")
RESUME = text("DELETE FROM kit.paused WHERE dag_id = :dag_id AND run_id = :run_id")
# What a person ends says nothing of a service (guards/sending.sql).
BY_HAND = text("SELECT set_config('kit.by_hand', :who, true)")
# As wake.sql does for a task that has ended.
WAKE = text("SELECT pg_notify('kit_wake', :run)")
WITHDRAW = text("INSERT INTO kit.withdrawal (message, task) VALUES (:message, :task) ON CONFLICT DO NOTHING")


def plain(value: Any) -> Any:
    """Return a value of a body. Raises ValueError for one that no database takes."""
    if problem := flaw(value):
        raise ValueError(problem)
    return value


Name = Annotated[str, Field(min_length=1, max_length=250), AfterValidator(plain)]


class Start(BaseModel):
    """What a workflow is started with."""

    model_config = ConfigDict(extra="forbid")
    dag_id: Name = said("The Dag.")
    run_id: Name | None = Field(
        None, description="What the run is to be called; Airflow names it where this is left out."
    )
    conf: Annotated[dict[str, Any], AfterValidator(plain)] = Field(
        default_factory=dict, description="Parameters of the run, in names of its Dag's."
    )


@router.post("/tasks/{id}/cancel", dependencies=[MAY_CHANGE_TASKS, SAME_TASK])
def cancel_task(id: UUID, session: SessionDep, user: GetUserDep, manager: AuthManagerDep) -> TaskCancelled:
    """Cancel an attempt that has not ended: its process ends within seconds, its message leaves the broker, its status is CANCELLED."""
    ti = changeable(id, session, user, manager)
    if ti.state in State.finished:
        raise HTTPException(409, f"it has ended ({ti.state}): there is nothing to cancel")
    cancel(ti, user.get_name(), session)
    note("kit_cancel_task", user, session, ti)
    return TaskCancelled(id=id, cancelled=True)


@router.post("/tasks/{id}/retry", dependencies=[MAY_CHANGE_TASKS, SAME_TASK])
def retry_task(id: UUID, session: SessionDep, user: GetUserDep, manager: AuthManagerDep) -> TaskRetried:
    """Run a task again that has ended, whatever its end was; what depends on it keeps its state."""
    ti = changeable(id, session, user, manager)
    if ti.state not in State.finished:
        raise HTTPException(409, f"it has not ended ({ti.state or 'waiting'}): cancel it first")
    tell(ti, "retry_asked", user.get_name(), session)
    note("kit_retry_task", user, session, ti)
    clear_task_instances([ti], session)
    session.flush()
    return TaskRetried(id=ti.id, instead_of=id)


@router.post("/workflows", dependencies=[MAY_START])
def start_workflow(
    body: Start, session: SessionDep, user: GetUserDep, manager: AuthManagerDep, dag_bag: DagBagDep, request: Request
) -> RunStarted:
    """Start a run of a Dag; while the Dag is paused in Airflow (`dag_paused`) it waits."""
    allowed(body.dag_id, "POST", DagAccessEntity.RUN, user, manager)
    asked = TriggerDAGRunPostBody(dag_run_id=body.run_id, conf=body.conf, logical_date=None)
    run = trigger_dag_run(body.dag_id, asked, dag_bag, user, session, request)
    note("kit_start_workflow", user, session, dag_id=body.dag_id, run_id=run.run_id)
    waits = session.scalar(select(DagModel.is_paused).where(DagModel.dag_id == run.dag_id))
    return RunStarted(dag_id=run.dag_id, run_id=run.run_id, dag_paused=bool(waits))


@router.post("/workflows/{dag_id}/{run_id:path}/cancel", dependencies=[MAY_CHANGE, SAME_RUN])
def cancel_workflow(
    dag_id: str, run_id: str, session: SessionDep, user: GetUserDep, dag_bag: DagBagDep
) -> RunCancelled:
    """Cancel a run that has not ended: what runs ends within seconds, what waits never runs. Teardown tasks still tear down."""
    run = known_run(dag_id, run_id, session)
    if run.state in State.finished_dr_states:
        raise HTTPException(409, f"the run has ended ({run.state}): there is nothing to cancel")
    if session.execute(RESUME, {"dag_id": dag_id, "run_id": run_id}).rowcount:
        tell_of_run(run, "run_resumed", user.get_name(), session)
    open_ones = [ti for ti in tasks_of(run, session) if ti.state not in State.finished]
    teardowns = {task.task_id for task in get_dag_for_run(dag_bag, run, session).tasks if task.is_teardown}
    waiting = [ti for ti in open_ones if ti.task_id not in teardowns]
    for ti in waiting:
        cancel(ti, user.get_name(), session)
    if len(waiting) == len(open_ones):
        run.set_state(DagRunState.FAILED)
    note("kit_cancel_workflow", user, session, dag_id=dag_id, run_id=run_id)
    return RunCancelled(dag_id=dag_id, run_id=run_id, cancelled=len(waiting))


@router.post("/workflows/{dag_id}/{run_id:path}/pause", dependencies=[MAY_CHANGE, SAME_RUN])
def pause_workflow(dag_id: str, run_id: str, session: SessionDep, user: GetUserDep) -> RunPaused:
    """Pause a run: what runs finishes, nothing further starts, and nothing of it holds a slot until it is resumed."""
    run = known_run(dag_id, run_id, session)
    if run.state in State.finished_dr_states:
        raise HTTPException(409, f"the run has ended ({run.state}): there is nothing to pause")
    who = user.get_name()
    if not session.execute(PAUSE, {"dag_id": dag_id, "run_id": run_id, "who": who}).rowcount:
        raise HTTPException(409, "the run is paused already")
    back = [ti for ti in tasks_of(run, session) if ti.state in SENT and ti.next_method is None]
    for ti in back:
        take_back(ti, session)
    tell_of_run(run, "run_paused", who, session)
    note("kit_pause_workflow", user, session, dag_id=dag_id, run_id=run_id)
    return RunPaused(dag_id=dag_id, run_id=run_id, paused=True, taken_back=len(back))


@router.post("/workflows/{dag_id}/{run_id:path}/resume", dependencies=[MAY_CHANGE, SAME_RUN])
def resume_workflow(dag_id: str, run_id: str, session: SessionDep, user: GetUserDep) -> RunResumed:
    """Let a paused run go on."""
    run = known_run(dag_id, run_id, session)
    if not session.execute(RESUME, {"dag_id": dag_id, "run_id": run_id}).rowcount:
        raise HTTPException(409, "the run is not paused")
    session.execute(WAKE, {"run": f"{dag_id}\n{run_id}"})
    tell_of_run(run, "run_resumed", user.get_name(), session)
    note("kit_resume_workflow", user, session, dag_id=dag_id, run_id=run_id)
    return RunResumed(dag_id=dag_id, run_id=run_id, paused=False)


@router.post("/workflows/{dag_id}/{run_id:path}/retry", dependencies=[MAY_CHANGE, SAME_RUN])
def retry_workflow(
    dag_id: str, run_id: str, session: SessionDep, user: GetUserDep, dag_bag: DagBagDep, dry_run: Annotated[bool, Body(embed=True)] = False
) -> RunRetried:  # fmt: skip
    """Run again what has failed or was cancelled, and what depends on it; all else keeps its results."""
    run = known_run(dag_id, run_id, session)
    if run.state not in State.finished_dr_states:
        raise HTTPException(409, f"the run has not ended ({run.state}): cancel it first, or wait")
    again = depending(get_dag_for_run(dag_bag, run, session), tasks_of(run, session))
    if not again:
        raise HTTPException(409, "nothing has failed or was cancelled: there is nothing to retry")
    names = sorted({ti.task_id for ti in again})
    if not dry_run:
        for ti in again:
            tell(ti, "retry_asked", user.get_name(), session)
        note("kit_retry_workflow", user, session, dag_id=dag_id, run_id=run_id, extra={"tasks": names})
        clear_task_instances(again, session)
    return RunRetried(dag_id=dag_id, run_id=run_id, tasks=len(again), names=names, dry_run=dry_run)


def depending(dag: Any, tasks: list[TaskInstance]) -> list[TaskInstance]:
    """Return the task instances that failed or were cancelled, and all that come after them."""
    failed = {ti.task_id for ti in tasks if ti.state in FAILED}
    after = {
        name for one in failed if dag.has_task(one) for name in dag.get_task(one).get_flat_relative_ids(upstream=False)
    }
    return [ti for ti in tasks if ti.state in FAILED or ti.task_id in after]


def changeable(id: UUID, session: Any, user: Any, manager: Any) -> TaskInstance:
    """Return an attempt that the user may change, locked. Raises HTTPException where there is none, or another one follows it."""
    ti: TaskInstance | None = session.scalar(
        select(TaskInstance).where(TaskInstance.id == id).with_for_update(of=TaskInstance)
    )
    if ti is not None:
        allowed(ti.dag_id, "PUT", DagAccessEntity.TASK_INSTANCE, user, manager)
        return ti
    past = session.scalar(select(TaskInstanceHistory).where(TaskInstanceHistory.task_instance_id == id))
    if past is None:
        raise HTTPException(404, f"there is no task {id}")
    allowed(past.dag_id, "PUT", DagAccessEntity.TASK_INSTANCE, user, manager)
    raise HTTPException(409, "another attempt follows this one: choose that")


def allowed(dag_id: str, method: Any, entity: DagAccessEntity, user: Any, manager: Any) -> None:
    """Raise HTTPException unless the user may; what they may not even read is not there."""
    details = DagDetails(id=dag_id)
    if not manager.is_authorized_dag(method="GET", access_entity=entity, details=details, user=user):
        raise HTTPException(404, "there is no such task or Dag")
    if not manager.is_authorized_dag(method=method, access_entity=entity, details=details, user=user):
        what = "Dag Runs" if entity == DagAccessEntity.RUN else "Task Instances"
        raise HTTPException(403, LACKING.format(f"{'create' if method == 'POST' else 'edit'} {what}"))


def known_run(dag_id: str, run_id: str, session: Any) -> DagRun:
    """Return a run, locked. Raises HTTPException where there is none."""
    wanted = select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id).with_for_update(of=DagRun)
    run: DagRun | None = session.scalar(wanted)
    if run is None:
        raise HTTPException(404, f"there is no run {run_id} of {dag_id}")
    return run


def tasks_of(run: DagRun, session: Any) -> list[TaskInstance]:
    """Return a run's task instances, locked in one order."""
    wanted = select(TaskInstance).where(TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id)
    return list(session.scalars(wanted.order_by(TaskInstance.id).with_for_update(of=TaskInstance)))


def cancel(ti: TaskInstance, who: str, session: Any) -> None:
    """Have a task instance fail for good, by the word of `who`; what was sent is taken out of the broker."""
    tell(ti, "cancelled", who, session)
    session.execute(BY_HAND, {"who": who})
    if ti.external_executor_id and ti.state == TaskInstanceState.QUEUED:
        session.execute(WITHDRAW, {"message": ti.external_executor_id, "task": ti.id})
    ti.set_state(TaskInstanceState.FAILED, session=session)


def take_back(ti: TaskInstance, session: Any) -> None:
    """Have a task that was to be sent, or waits in the broker, wait in Airflow as if it had never been due."""
    if ti.state == TaskInstanceState.QUEUED and ti.external_executor_id:
        session.execute(WITHDRAW, {"message": ti.external_executor_id, "task": ti.id})
    # It is counted when it is scheduled.
    ti.state, ti.try_number, ti.external_executor_id, ti.queued_by_job_id = None, max(0, ti.try_number - 1), None, None


def tell_of_run(run: DagRun, kind: str, who: str, session: Any) -> None:
    """Leave an event of a run for the journal."""
    nothing = dict.fromkeys(("task", "task_id", "map_index", "attempt", "message"))
    session.execute(
        TELL, nothing | {"kind": kind, "dag_id": run.dag_id, "run_id": run.run_id, "facts": json.dumps({"who": who})}
    )


def tell(ti: TaskInstance, kind: str, who: str, session: Any) -> None:
    """Leave an event for the journal."""
    values = {
        "kind": kind, "task": ti.id, "dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "map_index": ti.map_index,
        "attempt": ti.try_number, "message": ti.external_executor_id, "facts": json.dumps({"who": who}),
    }  # fmt: skip
    session.execute(TELL, values)


def note(event: str, user: Any, session: Any, ti: TaskInstance | None = None, extra: Any = None, **names: str) -> None:
    """Write Airflow's audit log."""
    who = user.get_name()
    session.add(Log(event, ti, owner=who, owner_display_name=who, extra=json.dumps(extra) if extra else None, **names))
