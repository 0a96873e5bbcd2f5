"""Runs in: the Dag processor; asks the database twice a second at most who wants something, not after each word of a process that parses.

Airflow's loop asks in each of its turns for callbacks to run, files to parse first and warnings of Dags that are gone. It turns once or
twice a second at rest, and besides each time a parsing process says or ends something. Text of the report: ADR 0016.
"""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from airflow_celery_kit import patching

WRITTEN_AGAINST = {
    "_run_parsing_loop": "95ec97abc767",
    "fetch_callbacks": "3590efb20d5c",
    "claim_priority_files": "bf5dd032fb80",
    "purge_inactive_dag_warnings": "2965df9d8765",
}
# Half of what Airflow's loop sleeps at most; warnings as seldom as it looks for Dags that are gone by default (`parsing_cleanup_interval`).
SECONDS = {"fetch_callbacks": 0.5, "claim_priority_files": 0.5, "purge_inactive_dag_warnings": 60.0}


@dataclass
class Seldom:
    """A question that is asked again at once where the last answer was something, after `seconds` where it was nothing."""

    ask: Callable[[Any], list[Any] | None]
    seconds: float
    clock: Callable[[], float] = time.monotonic
    due: float = float("-inf")

    def __call__(self, manager: Any) -> list[Any]:
        """Return the answer, nothing where it is too early to ask."""
        if (now := self.clock()) < self.due:
            return []
        found = self.ask(manager) or []
        self.due = now if found else now + self.seconds
        return found


def method(question: Seldom) -> Callable[[Any], list[Any]]:
    """Return a method that asks a question."""

    @functools.wraps(question.ask)
    def asked(self: Any) -> list[Any]:
        return question(self)

    return asked


def install() -> None:
    """Have this process's loop ask less often."""
    from airflow.dag_processing.manager import DagFileProcessorManager

    if not patching.fits("asking for requests twice a second", DagFileProcessorManager, WRITTEN_AGAINST):
        return
    for name, seconds in SECONDS.items():
        setattr(DagFileProcessorManager, name, method(Seldom(getattr(DagFileProcessorManager, name), seconds)))
