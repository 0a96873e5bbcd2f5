"""Runs in: airflow-apiserver; of which Dags a user may read records: those that Airflow lets them read, and by name those that it has deleted."""

from collections.abc import Container
from dataclasses import dataclass
from typing import Annotated, Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails
from airflow.api_fastapi.core_api.security import AuthManagerDep, GetUserDep
from airflow.configuration import conf
from airflow.models import DagModel
from fastapi import Depends


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
