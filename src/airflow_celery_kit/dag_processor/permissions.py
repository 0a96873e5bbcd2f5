"""Runs in: the Dag processor; looks less often for permissions of a Dag that are there.

Each time a file is read, Airflow asks the database for each of a Dag's permissions, three queries each, to make those that are
missing. That is the largest part of what the Dag processor does at rest (ADR 0016). A Dag that says who may do what is left to Airflow: roles get
and lose rights by it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from airflow_celery_kit import patching

# Permissions that somebody removed, or that could not be made, which Airflow's login manager keeps to itself, are missed for no longer.
AGAIN_SECONDS = 600.0
WRITTEN_AGAINST = {"_sync_dag_perms": "d7db9aa812b4", "_serialize_dag_capturing_errors": "1e620eb00e31"}


@dataclass
class Seen:
    """When the permissions of each Dag were last looked for, by a clock that is steady, in seconds."""

    sync: Callable[..., None]
    clock: Callable[[], float] = time.monotonic
    looked: dict[str, float] = field(default_factory=dict)

    def __call__(self, dag: Any, session: Any) -> None:
        """Look for the permissions of a Dag unless that was done a while ago."""
        now = self.clock()
        if dag.access_control is None and now - self.looked.get(dag.dag_id, float("-inf")) < AGAIN_SECONDS:
            return
        self.sync(dag, session=session)
        self.looked[dag.dag_id] = now


def install() -> None:
    """Have this process look less often."""
    from airflow.dag_processing import collection

    if patching.fits("looking less often for permissions", collection, WRITTEN_AGAINST):
        collection._sync_dag_perms = Seen(collection._sync_dag_perms)
