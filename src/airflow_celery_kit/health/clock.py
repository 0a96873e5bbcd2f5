"""Runs in: airflow-controller; how far the clocks of workers, database and broker are from its own."""

import time
from collections.abc import Iterable
from typing import Any, ClassVar

from airflow_celery_kit.core.health import Cause, Finding, State
from airflow_celery_kit.health.check import Check

OFF_SECONDS = 3.0
# Airflow takes a token that is off by as much (`[api_auth] jwt_leeway`).
REFUSED_SECONDS = 10.0
CURE = "let its machine follow a time server (NTP)"


class Clock(Check):
    """The times of one moment, as each machine writes them, compared."""

    name = "clock"
    needs = ("broker", "metadata")
    every = 20.0
    hangs = State.DEGRADED
    causes: ClassVar = {
        "off": Cause(State.DEGRADED, f"it is more than {OFF_SECONDS:.0f} s off: times on record mislead", CURE),
        "refused": Cause(
            State.UNHEALTHY, f"it is more than {REFUSED_SECONDS:.0f} s off: tokens are refused, tasks fail", CURE
        ),
    }

    def look(self, broker: Any, metadata: Any) -> Iterable[Finding]:
        """Return a finding for each clock."""
        with metadata, metadata.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
            yield self.of("metadata-database", cursor.fetchone()[0] - time.time())
        seconds, microseconds = broker.client.time()
        yield self.of("broker", seconds + microseconds / 1e6 - time.time())
        for name, said in broker.reports().items():
            age = broker.age_of_report(name)
            if age is not None and "at" in said:
                yield self.of(name, said["at"] - (time.time() - age))

    def of(self, whose: str, off: float) -> Finding:
        """Return what follows from a difference in seconds; what is ahead has a positive one."""
        if abs(off) <= OFF_SECONDS:
            return self.well(f"{abs(off):.1f} s off", whose)
        said = f"{abs(off):.0f} s {'ahead' if off > 0 else 'behind'}"
        return self.ill("refused" if abs(off) > REFUSED_SECONDS else "off", said, whose)
