"""Runs in: `kit run`; triggers a Dag run through the REST API and follows it."""

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from airflow_celery_kit.clients import Airflow
from airflow_celery_kit.errors import BadInputError, NotRunningError

POLL_SECONDS = 1.0
PATIENCE_SECONDS = 120.0
# How many Dags are named where there is none of a name.
KNOWN = 10
FINAL = ("success", "failed")
TASK_FIELDS = ("task_id", "map_index", "state", "hostname", "queue", "try_number", "start_date", "end_date")


@dataclass(frozen=True)
class Progress:
    """How far a run is: its state and its tasks as `kit run --json` shows them."""

    dag_id: str
    run_id: str
    state: str
    tasks: tuple[dict[str, Any], ...]
    seconds: float | None

    @property
    def finished(self) -> int:
        """Number of tasks that will not run again."""
        return sum(
            task["state"] in ("success", "failed", "skipped", "upstream_failed", "removed") for task in self.tasks
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON of `kit run --wait --json`."""
        return {
            "dag_id": self.dag_id,
            "run_id": self.run_id,
            "state": self.state,
            "seconds": self.seconds,
            "tasks": list(self.tasks),
        }


def trigger(api: Airflow, dag_id: str, conf: Mapping[str, Any] | None) -> tuple[str, bool]:
    """Start a run; return its id and whether the Dag had to be unpaused for it. Raises BadInputError for an unknown Dag or bad conf."""
    if not re.fullmatch(r"[\w.-]{1,250}", dag_id):
        raise BadInputError(f"{dag_id!r} cannot be a Dag: ids hold letters, digits, dots, dashes and underscores")
    unpaused = bool(_dag(api, dag_id)["is_paused"])
    if unpaused:
        api.patch(f"/dags/{dag_id}?update_mask=is_paused", {"is_paused": False})
    try:
        run = api.post(
            f"/dags/{dag_id}/dagRuns", {"logical_date": datetime.now(UTC).isoformat(), "conf": dict(conf or {})}
        )
    except httpx.HTTPStatusError as refused:
        if unpaused:
            api.patch(f"/dags/{dag_id}?update_mask=is_paused", {"is_paused": True})
        raise BadInputError(f"{dag_id} refuses this run: {_detail(refused)}") from refused
    return str(run["dag_run_id"]), unpaused


def follow(api: Airflow, dag_id: str, run_id: str) -> Iterator[Progress]:
    """Yield the run's progress about once a second until it has ended.

    An api-server that restarts meanwhile is waited for. Raises NotRunningError when it stays away PATIENCE_SECONDS.
    """
    answered = time.monotonic()
    while True:
        try:
            progress = look(api, dag_id, run_id)
        except (NotRunningError, httpx.HTTPStatusError):
            if time.monotonic() - answered > PATIENCE_SECONDS:
                raise
        else:
            answered = time.monotonic()
            yield progress
            if progress.state in FINAL:
                return
        time.sleep(POLL_SECONDS)


def look(api: Airflow, dag_id: str, run_id: str) -> Progress:
    """Return the run's progress now."""
    run = api.get(f"/dags/{dag_id}/dagRuns/{run_id}")
    return Progress(dag_id, run_id, run["state"], tuple(_tasks(api, dag_id, run_id)), run.get("duration"))


def _tasks(api: Airflow, dag_id: str, run_id: str) -> Iterator[dict[str, Any]]:
    offset = 0
    while True:
        page = api.get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", limit=100, offset=offset)
        for task in page["task_instances"]:
            yield {**{name: task[name] for name in TASK_FIELDS}, "queued_at": task["queued_when"]}
        offset += 100
        if offset >= page["total_entries"]:
            return


def _dag(api: Airflow, dag_id: str) -> dict[str, Any]:
    try:
        return api.get(f"/dags/{dag_id}")
    except httpx.HTTPStatusError as refused:
        if refused.response.status_code != 404:
            raise
        found = api.get("/dags", limit=KNOWN)
        shown = (
            ", ".join(dag["dag_id"] for dag in found["dags"])
            or "none yet, the Dag processor needs some seconds for new files"
        )
        if (more := found["total_entries"] - len(found["dags"])) > 0:
            shown += f" and {more} more ('kit airflow -- dags list')"
        broken = "".join(f"; {name} does not import: {why}" for name, why in import_errors(api).items())
        raise BadInputError(f"there is no Dag {dag_id!r}; known: {shown}{broken}") from refused


def import_errors(api: Airflow) -> dict[str, str]:
    """Return the last line of the error of each file that does not import."""
    found = api.get("/importErrors", limit=10)["import_errors"]
    return {error["filename"]: error["stack_trace"].strip().splitlines()[-1] for error in found}


def wait_until_known(api: Airflow, dag_id: str, seconds: float) -> None:
    """Wait until the Dag processor has read a Dag or met an error, at most `seconds`; the rest is for `trigger` to say."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not import_errors(api):
        try:
            api.get(f"/dags/{dag_id}")
            return
        except httpx.HTTPStatusError:
            time.sleep(POLL_SECONDS)


def _detail(refused: httpx.HTTPStatusError) -> str:
    try:
        # Below the sentence may stand a dump of what checked it.
        return str(refused.response.json()["detail"]).partition("\n")[0]
    except (ValueError, KeyError, TypeError):
        return f"HTTP {refused.response.status_code}"
