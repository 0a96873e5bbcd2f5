"""Runs in: airflow-controller; api-server and Flower, by the pages that need no login."""

import time
from collections.abc import Iterable
from typing import ClassVar

from airflow_celery_kit.core.health import Cause, Finding, State
from airflow_celery_kit.health.check import Check
from airflow_celery_kit.probes import http

SECONDS = 5.0
SLOW_SECONDS = 2.0


class ApiServer(Check):
    """Its health page, which says whether it reaches the metadata database, and that of its side for tasks."""

    name = "api-server"
    needs = ("api_server",)
    causes: ClassVar = {
        "away": Cause(
            State.UNHEALTHY,
            "it does not answer, or reaches no database: no page, and tasks cannot report",
            "see 'kit logs airflow-apiserver'",
            vital=True,
        ),
        "slow": Cause(State.DEGRADED, f"it answers after more than {SLOW_SECONDS:.0f} s", "see what its machine does"),
    }

    def look(self, base: str) -> Iterable[Finding]:
        """Return one finding."""
        begun = time.monotonic()
        try:
            http.check_apiserver(base, begun + SECONDS)
        except (OSError, ValueError, KeyError, TypeError) as problem:
            return [self.ill("away", str(problem) or type(problem).__name__)]
        took = time.monotonic() - begun
        said = f"answers in {took * 1000:.0f} ms"
        return [self.ill("slow", said) if took > SLOW_SECONDS else self.well(said)]


class Flower(Check):
    """Its health page. What it says beyond that needs its login, which the controller is not given."""

    name = "flower"
    needs = ("flower",)
    causes: ClassVar = {
        "away": Cause(
            State.UNHEALTHY, "it does not answer: nobody sees workers there; tasks run", "see 'kit logs airflow-flower'"
        )
    }

    def look(self, base: str) -> Iterable[Finding]:
        """Return one finding."""
        begun = time.monotonic()
        try:
            http.get_text(base, "/healthcheck", begun + SECONDS)
        except (OSError, ValueError) as problem:
            return [self.ill("away", str(problem) or type(problem).__name__)]
        return [self.well(f"answers in {(time.monotonic() - begun) * 1000:.0f} ms")]
