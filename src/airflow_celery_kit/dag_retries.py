"""Runs in: `kit run --wait`; says which tasks have failed and wait to be tried again, why, and when that is."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import httpx

from airflow_celery_kit.clients import Airflow
from airflow_celery_kit.core.journal.names import short_name
from airflow_celery_kit.dag_runs import Progress
from airflow_celery_kit.errors import NotRunningError

# How many looks, a second apart, the journal has to know an error.
LOOKS = 5
# A Dag of a thousand mapped tasks that fail shall not fill the screen.
MOST = 20

Key = tuple[str, int, int]


class Retries:
    """What was said of one run."""

    def __init__(self, api: Airflow, dag_id: str, run_id: str) -> None:
        self.api, self.dag_id, self.run_id = api, dag_id, run_id
        self.told: set[Key] = set()
        self.seen: dict[Key, dict[str, Any]] = {}
        self.looked: Counter[Key] = Counter()

    def lines(self, progress: Progress) -> Iterator[str]:
        """Yield a line for each try that has failed since the last look and is followed by another one."""
        waiting = {key_of(one): one for one in progress.tasks if one["state"] == "up_for_retry"}
        self.seen |= {key: one for key, one in waiting.items() if key not in self.told}
        errors = self.errors() if self.seen and len(self.told) < MOST else {}
        for key, one in list(self.seen.items()):
            self.looked[key] += 1
            if key in errors or self.looked[key] >= LOOKS or key not in waiting or len(self.told) >= MOST:
                self.told.add(key)
                del self.seen[key]
                yield from self.line(one, errors.get(key))

    def line(self, task: Mapping[str, Any], error: str | None) -> Iterator[str]:
        """Yield what is said of one try, or once that more is not said."""
        if len(self.told) <= MOST:
            why = f" ({error})" if error else ""
            yield f"{short_name(task)} failed{why}, tried again {self.when(task)}"
        elif len(self.told) == MOST + 1:
            yield "more tasks fail and are tried again"

    def errors(self) -> dict[Key, str]:
        """Return the last line of the error of each try that another one follows; nothing where no journal tells it."""
        try:
            found = self.api.kit("/tasks", dag_id=self.dag_id, run_id=self.run_id, status="RETRY", limit=500)["tasks"]
        except (NotRunningError, httpx.HTTPStatusError):
            return {}
        return {
            (one["task_id"], one["map_index"], one["attempt"]): one["error"].strip().rpartition("\n")[2]
            for one in found
            if one["error"]
        }

    def when(self, task: Mapping[str, Any]) -> str:
        """Return when a task is tried again, on the shell's clock. Where the time grows from try to try Airflow alone knows it."""
        known = self.delays.get(task["task_id"])
        if known is None or not task["end_date"]:
            return "later"
        return f"at {(datetime.fromisoformat(task['end_date']) + known).astimezone():%H:%M:%S}"

    @cached_property
    def delays(self) -> dict[str, timedelta]:
        """How long each task waits between two tries, if that is always the same."""
        try:
            tasks = self.api.get(f"/dags/{self.dag_id}/tasks")["tasks"]
        except (NotRunningError, httpx.HTTPStatusError):
            return {}
        return {
            one["task_id"]: timedelta(
                **{unit: one["retry_delay"][unit] for unit in ("days", "seconds", "microseconds")}
            )
            for one in tasks
            if one.get("retry_delay") and (one.get("retry_exponential_backoff") or 1.0) == 1.0
        }


def key_of(task: Mapping[str, Any]) -> Key:
    """Return which try of which task it is."""
    return task["task_id"], task["map_index"], task["try_number"]
