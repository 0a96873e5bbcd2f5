"""Runs in: airflow-controller; decides the slots of limits with a range, by a metric or a function of the user's own.

A function runs in a thread of its own: one that does not return keeps its limit at the last value, and delays nothing.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from threading import Thread
from typing import Any

from airflow_celery_kit.controller.database import Fence

RANGED = """
SELECT g.id, g.source, g.low, g.high, known.slots, known.problem
FROM kit.guard AS g LEFT JOIN kit.guard_value AS known ON known.guard = g.id WHERE g.low IS NOT NULL
"""
# A function that takes longer is told; its answer counts whenever it comes.
SLOW_SECONDS = 10.0
WRITE = """
INSERT INTO kit.guard_value AS known (guard, slots, problem) VALUES (%(guard)s, %(slots)s, %(problem)s)
ON CONFLICT (guard) DO UPDATE SET slots = coalesce(excluded.slots, known.slots), problem = excluded.problem, at = clock_timestamp()
WHERE (coalesce(excluded.slots, known.slots), excluded.problem) IS DISTINCT FROM (known.slots, known.problem)
"""
LEFT = """
SELECT current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer - sum(numbackends)::integer
FROM pg_stat_database
"""
CONNECTIONS = "database_connections_left"
WAKE = "SELECT kit.wake_held(%s, NULL, 5)"


@dataclass
class Question:
    """One function that was asked, and what it said."""

    source: str
    answer: int | None = None
    problem: str = ""
    begun: float = field(default_factory=time.monotonic)
    thread: Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = Thread(target=self._ask, name="range", daemon=True)
        self.thread.start()

    def _ask(self) -> None:
        try:
            module, _, name = self.source.rpartition(".")
            self.answer = int(getattr(import_module(module), name)())
        except (Exception, SystemExit) as problem:
            self.problem = f"{type(problem).__name__}: {str(problem).strip()}"


@dataclass
class Ranges:
    """What is kept between two looks: functions that were asked and have not answered. What was decided is on record."""

    asked: dict[str, Question] = field(default_factory=dict)

    def look(self, metadata: Any, fence: Fence, metrics: Mapping[str, int]) -> dict[str, str]:
        """Write what has changed; return the problems that are new, by limit. Raises psycopg2.Error."""
        with metadata, metadata.cursor() as cursor:
            cursor.execute(RANGED)
            found = cursor.fetchall()
            known = dict(metrics)
            if any(source == CONNECTIONS for _, source, *_ in found):
                cursor.execute(LEFT)
                known[CONNECTIONS] = cursor.fetchone()[0]
        news = {}
        for guard, source, low, high, *before in found:
            slots, problem = (known[source], None) if source in known else self._own(guard, source, before[1])
            decided = before[0] if slots is None else min(high, max(low, slots))
            if [decided, problem] != before:
                self._write(fence, guard, decided, problem)
                news |= {guard: problem} if problem and problem != before[1] else {}
        return news

    def _own(self, guard: str, source: str, before: str | None) -> tuple[int | None, str | None]:
        """Take a function's answer, or ask it; until it has answered what holds is the last one, and the problem with it, `before`."""
        asked = self.asked.pop(guard, None)
        if asked is None or asked.source != source:
            asked = Question(source)
            asked.thread.join(0.2)
        if not asked.thread.is_alive():
            return asked.answer, f"{source}: {asked.problem}" if asked.problem else None
        self.asked[guard] = asked
        late = time.monotonic() - asked.begun > SLOW_SECONDS
        return None, f"{source} has not answered for {SLOW_SECONDS:.0f} s" if late else before

    @staticmethod
    def _write(fence: Fence, guard: str, slots: int | None, problem: str | None) -> None:
        with fence() as cursor:
            cursor.execute(WRITE, {"guard": guard, "slots": slots, "problem": problem})
            cursor.execute(WAKE, (guard,))
