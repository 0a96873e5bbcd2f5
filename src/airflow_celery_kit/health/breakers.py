"""Runs in: airflow-controller; tells breakers what the looks of the checks that they go by have found.

A breaker counts looks, not verdicts: a verdict changes when several looks agree, which is later than a breaker should open.
"""

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from psycopg2.errors import LockNotAvailable

from airflow_celery_kit.controller.database import Fence
from airflow_celery_kit.controller.lease import LeaseLostError
from airflow_celery_kit.core.health import Finding, State, worst

# Those that are open count nothing.
COUNTED = """
SELECT check_name, jsonb_object_keys(health) FROM kit.guard AS g WHERE kind = 'breaker' AND check_name IS NOT NULL
    AND NOT EXISTS (SELECT FROM kit.breaker WHERE guard = g.id AND token = '' AND state <> 'closed')
"""
TELL = "SELECT kit.breaker_verdict(%s, %s, clock_timestamp() - make_interval(secs => %s))"
# Looks in a hurry that may follow one another; a breaker that has not opened by then goes by the usual ones.
MOST_HURRIED = 20


@dataclass
class Breakers:
    """What closed breakers count, as check and state, what each check's last look found, and what they have not been told yet, with its
    moment in steady seconds."""

    counted: set[tuple[str, str]] = field(default_factory=set)
    last: dict[str, State] = field(default_factory=dict)
    news: list[tuple[str, State, float]] = field(default_factory=list)
    hurried: dict[str, int] = field(default_factory=dict)

    def hear(self, check: str, found: Iterable[Finding]) -> bool:
        """Take up one look: its worst finding. Return whether a breaker counts it, so that the next look should come soon."""
        before, state = self.last.get(check), worst(found)
        self.last[check] = state
        self.news.append((check, state, time.monotonic()))
        self.hurried[check] = 1 if state != before else self.hurried.get(check, 0) + 1
        return self._hurries(check)

    @property
    def hurry(self) -> bool:
        """Whether a breaker is about to open or not, by the next looks of a check."""
        return any(map(self._hurries, self.last))

    def _hurries(self, check: str) -> bool:
        return (check, self.last[check].word) in self.counted and self.hurried[check] < MOST_HURRIED

    def tell(self, metadata: Any, fence: Fence) -> None:
        """Ask what is counted, and have it counted. Raises psycopg2.Error; what was found is told later only where a breaker is in other hands."""
        news, self.news = self.news, []
        with metadata, metadata.cursor() as cursor:
            cursor.execute(COUNTED)
            before, self.counted = self.counted, set(cursor.fetchall())
        # As one whose breaker has closed again.
        self.hurried |= {check: 0 for check, _ in self.counted - before}
        told = [one for one in news if (one[0], one[1].word) in self.counted]
        if told:
            try:
                with suppress(LeaseLostError), fence() as cursor:
                    cursor.executemany(TELL, [(check, str(state), time.monotonic() - at) for check, state, at in told])
            except LockNotAvailable:
                self.news = told
                raise
