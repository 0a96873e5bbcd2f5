"""Runs in: airflow-controller; keeps limits and breakers in step with their file, their metrics and Airflow's own tasks, and says what happened."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

from airflow_celery_kit.controller.database import Fence
from airflow_celery_kit.controller.ranges import Ranges
from airflow_celery_kit.controller.sight import Connections
from airflow_celery_kit.controller.unsaid import Unsaid
from airflow_celery_kit.core.guards.rules import Rules
from airflow_celery_kit.errors import ConfigurationError
from airflow_celery_kit.guards import limits_file

Say = Callable[..., None]
TIDY_SECONDS = 60.0
FILE = """
INSERT INTO kit.guard_file AS known (what, problem) VALUES ('limits.yaml', %(problem)s)
ON CONFLICT (what) DO UPDATE SET problem = excluded.problem, at = clock_timestamp() WHERE known.problem <> excluded.problem
"""
WORKERS = """
INSERT INTO kit.guard_workers AS known (queue, workers) VALUES (%s, %s)
ON CONFLICT (queue) DO UPDATE SET workers = excluded.workers WHERE known.workers <> excluded.workers
"""
# Looking at what is under way takes a tenth of the time at most, also where that is tens of thousands of tasks.
ADOPT_REST = 10.0


@dataclass
class Guarding:
    """What is kept between two looks. `path` is the file, None where there is none."""

    path: Path | None
    say: Say
    ranges: Ranges = field(default_factory=Ranges)
    problem: str = ""
    seen: tuple[int, ...] = ()
    events: Unsaid = field(
        default_factory=lambda: Unsaid("kit.guard_event", "seq", "level, guard, token, what, reason, who")
    )
    faults: Unsaid = field(default_factory=lambda: Unsaid("kit.guard_fault", "id", "what"))
    tidies_at: float = float("-inf")
    adopts_at: float = float("-inf")

    def look(self, connections: Connections, fence: Fence, now: float) -> None:
        """Look once. `now` is steady, in seconds. Raises LeaseLostError, psycopg2.Error, valkey.ValkeyError."""
        tidies = now >= self.tidies_at
        self._tell(connections.metadata)
        self._file(fence, again=tidies)
        if there_are_guards(connections.metadata):
            self._keep_in_step(connections, fence, now)
        # Last, because of very much it may not come to an end in time.
        if tidies:
            self._tidy(fence, now)

    def _tidy(self, fence: Fence, now: float) -> None:
        self.tidies_at = now + TIDY_SECONDS
        with fence() as cursor:
            cursor.execute("SELECT kit.guards_tidy()")
            (more,) = cursor.fetchone()
        self.tidies_at = now if more else self.tidies_at

    def _keep_in_step(self, connections: Connections, fence: Fence, now: float) -> None:
        reports = list(connections.broker.reports().values())
        metrics = {"workers": len(reports), "worker_slots": sum(int(one.get("slots", 0)) for one in reports)}
        for guard, problem in self.ranges.look(connections.metadata, fence, metrics).items():
            self.say("range_fails", guard=guard, reason=problem, now="it keeps its last value")
        with fence() as cursor:
            for queue, workers in workers_of(reports).items():
                cursor.execute(WORKERS, (queue, workers))
            if now >= self.adopts_at:
                begun = time.monotonic()
                cursor.execute("SELECT kit.guards_adopt()")
                self.adopts_at = now + ADOPT_REST * (time.monotonic() - begun)

    def _file(self, fence: Fence, again: bool) -> None:
        """Put the file in force when it has changed, and `again` now and then; one that is wrong leaves what is in force as it is."""
        if self.path is None or ((there := signature(self.path)) == self.seen and not again):
            return
        try:
            rules, problem = limits_file.load(self.path), ""
        except ConfigurationError as found:
            rules, problem = None, str(found)
        try:
            self._write(fence, rules, problem)
        except psycopg2.DataError as found:
            problem = f"{self.path}: the database does not take it: {str(found).splitlines()[0]}"
            self._write(fence, None, problem)
        if problem and problem != self.problem:
            self.say("limits_refused", reason=problem, now="what was in force stays so")
        self.problem, self.seen = problem, there

    def _write(self, fence: Fence, rules: Rules | None, problem: str) -> None:
        with fence() as cursor:
            changed = rules and limits_file.apply(rules, cursor)
            cursor.execute(FILE, {"problem": problem})
        if rules and changed:
            self.say("limits", limits=sorted(rules.limits), breakers=sorted(rules.breakers))

    def _tell(self, metadata: Any) -> None:
        """Say what has happened since the last look, and at the first one since the last minute."""
        with metadata, metadata.cursor() as cursor:
            events, faults = self.events.read(cursor), self.faults.read(cursor)
        for level, guard, token, what, reason, who in events:
            more = {name: value for name, value in (("token", token), ("who", who)) if value}
            self.say(what, level=level, guard=guard, reason=reason, **more)
        for (what,) in faults:
            self.say("guard_fault", level="error", reason=what, now="its task was let in")


def signature(path: Path) -> tuple[int, ...]:
    """Return what changes with a file."""
    try:
        found = path.stat()
    except OSError:
        return (-1,)
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def there_are_guards(metadata: Any) -> bool:
    """Return whether there is anything to keep in step. Raises psycopg2.Error."""
    with metadata, metadata.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM kit.guard)")
        return bool(cursor.fetchone()[0])


def workers_of(reports: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many live workers serve each queue, but those that take no task."""
    found: dict[str, int] = {}
    for report in reports:
        for queue in () if report.get("drained") else report.get("queues", ()):
            found[queue] = found.get(queue, 0) + 1
    return found
