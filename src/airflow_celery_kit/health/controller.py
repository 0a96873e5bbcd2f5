"""Runs in: airflow-controller; the controller itself: somebody leads, and sees database, broker and workers."""

from collections.abc import Iterable
from typing import Any, ClassVar

from airflow_celery_kit.core.health import Cause, Finding, State
from airflow_celery_kit.health.anew import TOLD_SECONDS, Anew
from airflow_celery_kit.health.check import Check

LEASE_LATE_SECONDS = 10.0
LOOK_LATE_SECONDS = 30.0
# Where nobody has looked yet, nothing is late.
QUERY = """
SELECT holder, token, follows, extract(epoch FROM clock_timestamp() - taken_at)::float8, extract(epoch FROM clock_timestamp() - expires_at)::float8,
       coalesce((SELECT extract(epoch FROM clock_timestamp() - at) FROM kit.seen WHERE what = 'queues'), 0)::float8
FROM kit.lease WHERE name = 'repair'
"""


class Controller(Check):
    """The lease by which one controller leads, and the age of its last look."""

    name = "controller"
    needs = ("metadata",)
    hangs = State.DEGRADED
    # What stands in the lease has happened.
    confirm = 1
    causes: ClassVar = {
        "nobody": Cause(
            State.UNHEALTHY,
            "nobody has held the lease for ten seconds: nothing is repaired or ordered",
            "see 'kit logs airflow-controller'",
        ),
        "anew": Cause(
            State.DEGRADED,
            "another one leads since a moment ago: the one before ended without a word, or stood still for longer than its lease",
            "see why in 'kit logs airflow-controller'",
        ),
        "blind": Cause(
            State.DEGRADED,
            f"its last look is older than {LOOK_LATE_SECONDS:.0f} s: it cannot see the broker or a database",
            "cure what else is not healthy",
        ),
    }

    def __init__(self) -> None:
        self.anew = Anew()

    def look(self, metadata: Any) -> Iterable[Finding]:
        """Return one finding."""
        with metadata, metadata.cursor() as cursor:
            cursor.execute(QUERY)
            holder, token, follows, led, late, age = cursor.fetchone()
        anew = self.anew.is_anew(self.name, token, expected=not follows)
        if age > LOOK_LATE_SECONDS:
            return [self.ill("blind", f"the last look is {age:.0f} s old")]
        if late > LEASE_LATE_SECONDS:
            return [self.ill("nobody", f"the lease of {holder or 'nobody'} ended {late:.0f} s ago")]
        # Who has just begun to look knows no leader of before.
        if anew or (follows and led < TOLD_SECONDS):
            return [
                self.ill("anew", f"{holder} leads since {led:.0f} s ago, {follows} did before and ended without a word")
            ]
        return [self.well(f"{holder} leads, its last look is {max(age, 0.0):.0f} s old")]
