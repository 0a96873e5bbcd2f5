"""Runs in: airflow-controller; decides the slots of limits with a range, by a metric or a function of the user's own.

A function runs in a thread of its own: one that does not return keeps its limit at the last value, and delays nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from threading import Thread
from typing import Any

from airflow_celery_kit.controller.database import Fence

RANGED = "SELECT id, source, low, high FROM kit.guard WHERE low IS NOT NULL"
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
    answer: Any = None
    problem: str = ""
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
    """What is kept between two looks: functions that were asked, and what was said of each limit."""

    asked: dict[str, Question] = field(default_factory=dict)
    said: dict[str, tuple[int | None, str | None]] = field(default_factory=dict)

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
        for guard, source, low, high in found:
            slots, problem = (known[source], None) if source in known else self._own(guard, source)
            said = (None if slots is None else min(high, max(low, slots)), problem)
            if self.said.get(guard) != said:
                self._write(fence, guard, *said)
                if problem and problem != self.said.get(guard, (None, None))[1]:
                    news[guard] = problem
                self.said[guard] = said
        return news

    def _own(self, guard: str, source: str) -> tuple[int | None, str | None]:
        """Ask a function again once it has answered; a limit is as old as its last answer."""
        last = self.asked.get(guard)
        if last and last.thread.is_alive():
            return self.said.get(guard, (None, None))[0], f"{source} has not answered since the last look"
        self.asked[guard] = Question(source)
        self.asked[guard].thread.join(0.2)
        now = self.asked[guard]
        if now.thread.is_alive():
            return self.said.get(guard, (None, None))[0], self.said.get(guard, (None, None))[1]
        return now.answer, f"{source}: {now.problem}" if now.problem else None

    @staticmethod
    def _write(fence: Fence, guard: str, slots: int | None, problem: str | None) -> None:
        with fence() as cursor:
            cursor.execute(WRITE, {"guard": guard, "slots": slots, "problem": problem})
            cursor.execute(WAKE, (guard,))
