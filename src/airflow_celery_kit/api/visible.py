"""Runs in: airflow-apiserver; of which Dags a user may read records: those that Airflow lets them read, and by name those that it has deleted.

What a task's code said as it failed stands in its log: who may not read that log does not get it here.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import AuthManagerDep, GetUserDep
from airflow.configuration import conf
from airflow.models import DagModel
from fastapi import Depends

from airflow_celery_kit.core.journal.events import Kind, Source

RAISED, WORDS = (Kind.ERROR, Kind.TIMED_OUT, Kind.TRIED_AGAIN, Kind.LEFT_OUT), ("error", "because")
WITHHELD = "what it says stands in the task's log, and your roles lack the permission to read Task Logs"


def visible(user: GetUserDep, manager: AuthManagerDep) -> list[str]:
    """Return the Dags that the user may read."""
    return sorted(manager.get_authorized_dag_ids(user=user, method="GET"))


VisibleDep = Annotated[list[str], Depends(visible)]


@dataclass(frozen=True)
class Readable(Container[str]):
    """Holds each Dag whose records the user may read. `there` are those that Airflow knows."""

    there: list[str]
    user: Any
    manager: Any

    def __contains__(self, dag_id: object) -> bool:
        return dag_id in self.there or self._deleted(str(dag_id))

    def named(self, dag_id: str | None) -> list[str]:
        """Return those that a list shows, narrowed to one of them or not."""
        return [dag_id] if dag_id is not None and dag_id in self else self.there

    def _deleted(self, dag_id: str) -> bool:
        """Return whether Airflow has deleted the Dag, and lets the user read one of that name."""
        # Whose team it was nobody knows any more.
        if conf.getboolean("core", "multi_team"):
            return False
        allowed = self.manager.is_authorized_dag(method="GET", details=DagDetails(id=dag_id), user=self.user)
        return allowed and DagModel.get_dagmodel(dag_id) is None


def readable(dags: VisibleDep, user: GetUserDep, manager: AuthManagerDep) -> Readable:
    """Return what the user may read."""
    return Readable(dags, user, manager)


ReadableDep = Annotated[Readable, Depends(readable)]

Logged = Callable[[str], bool]


def logged(user: GetUserDep, manager: AuthManagerDep) -> Logged:
    """Return what tells of a Dag whether the user may read its task logs; each is asked for once in a request."""

    @cache
    def may_read(dag_id: str) -> bool:
        details = DagDetails(id=dag_id)
        return bool(
            manager.is_authorized_dag(method="GET", access_entity=DagAccessEntity.TASK_LOGS, details=details, user=user)
        )

    return may_read


LoggedDep = Annotated[Logged, Depends(logged)]


def attempt_for(found: dict[str, Any], logs: Logged) -> dict[str, Any]:
    """Return the record of an attempt as the user may see it.

    An error with a stack trace is the code's, and its log has both; one without is a sentence of the kit's or Airflow's own.
    """
    shown = {name: value for name, value in found.items() if name != "traced"}
    traced = found["traced"] if "traced" in found else found["trace"] is not None
    if not traced or logs(found["dag_id"]):
        return shown
    return shown | ({"trace": None} if "trace" in found else {}) | {"error": kind_of(found["error"])}


def events_for(events: list[dict[str, Any]], may_read: bool) -> list[dict[str, Any]]:
    """Return the events of an attempt as a user sees them who may or may not read its log."""
    return events if may_read else [one | {"facts": _without_words(one)} for one in events]


def kind_of(error: str | None) -> str | None:
    """Return the class of an error without what it says."""
    if not error:
        return error
    name = error.partition(":")[0]
    return f"{name if name.isidentifier() else 'an error'}: {WITHHELD}"


def _without_words(event: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of an event without what its code raised."""
    facts: dict[str, Any] = event["facts"]
    if event["kind"] not in RAISED or ("trace" not in facts and event["source"] != Source.CODE):
        return facts
    return {name: kind_of(value) if name in WORDS else value for name, value in facts.items() if name != "trace"}
