"""Runs in: the scheduler; has a loop look at the Dag runs that rang, and at the others when there is time.

Airflow looks at twenty running Dag runs in each loop, whether something has happened in them or not, before it sends a task. Where
twenty workflows are under way, a task that has ended waits for nineteen looks at others until its successor is sent.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from airflow_celery_kit import patching

# So many running Dag runs are read in one loop; each costs a fraction of a millisecond, a look at it some milliseconds.
WINDOW = 64
# While runs ring, so few of the others are looked at in a loop, and beside one that rang only those that waited for so many sleeps.
FEW, LATE = 4, 3
WRITTEN_AGAINST = {"_schedule_all_dag_runs": "c2ef4c5dbb09", "_do_scheduling": "51f71a9e8998"}
READ_AGAINST = {"get_running_dag_runs_to_examine": "e408ccb8d0c8"}
NEVER = float("-inf")
# What was not looked at for so long is new again; what is absent for a moment may be in another scheduler's hands.
FORGET_SECONDS = 60.0


class Run(Protocol):
    """What is read of a Dag run."""

    id: int
    dag_id: str
    run_id: str


class Looks:
    """Chooses among running Dag runs.

    `rung` gives the names of those that rang since it was asked last, None where any may have changed. Airflow looks at `share` of them
    after each sleep of `interval` seconds; at most as many that did not ring are looked at in that time. A task that ends meanwhile
    waits for the whole loop: while runs ring, the others come a few at a time, in loops in which nothing rang.
    """

    def __init__(
        self,
        rung: Callable[[], set[str] | None],
        interval: float,
        share: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rung, self.interval, self.share, self.clock = rung, max(interval, 0.1), share, clock
        self.window = max(WINDOW, share)
        self.seen: dict[int, float] = {}
        self.last, self.rang, self.owed = NEVER, NEVER, 0.0

    def due(self, runs: Sequence[Run]) -> list[Run]:
        """Return which of the running Dag runs to look at now; `runs` are in Airflow's order.

        Where there are `window` or more, not all of them are seen, and as many as Airflow would are looked at besides those that rang.
        """
        names, now = self.rung(), self.clock()
        chosen = list(runs[: self.share]) if names is None else self._chosen(runs, names, now)
        self.last = now
        self.seen = {one: at for one, at in self.seen.items() if now - at < FORGET_SECONDS} | {
            run.id: now for run in chosen
        }
        return chosen

    def _chosen(self, runs: Sequence[Run], names: set[str], now: float) -> list[Run]:
        full = len(runs) >= self.window
        first = [run for run in runs if name_of(run) in names or not (full or run.id in self.seen)]
        others = [run for run in runs if run not in first and (full or now - self.seen[run.id] >= self.interval)]
        others.sort(key=lambda run: self.seen.get(run.id, NEVER))
        return first + (others[: self.share] if full else self._spared(others, bool(first), now))

    def _spared(self, others: list[Run], urgent: bool, now: float) -> list[Run]:
        """Return which of those that did not ring there is time for; the first of them waits longest."""
        self.owed = min(self.share, self.owed + self.share * (now - self.last) / self.interval)
        if urgent:
            self.rang = now
            others = [run for run in others if now - self.seen[run.id] >= LATE * self.interval]
        most = FEW if now - self.rang < self.interval else self.share
        chosen = others[: min(most, int(self.owed))]
        self.owed -= len(chosen)
        return chosen


def name_of(run: Run) -> str:
    """Return what wake.sql calls a Dag run."""
    return f"{run.dag_id}\n{run.run_id}"


def install(rung: Callable[[], set[str] | None]) -> None:
    """Let this process's scheduler look at Dag runs that rang, and seldom at others."""
    from airflow.configuration import conf
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.models.dagrun import DagRun

    what = "looking at the Dag runs that rang"
    if not (patching.fits(what, SchedulerJobRunner, WRITTEN_AGAINST) and patching.fits(what, DagRun, READ_AGAINST)):
        return
    looks = Looks(rung, conf.getfloat("scheduler", "scheduler_idle_sleep_time"), DagRun.DEFAULT_DAGRUNS_TO_EXAMINE)
    DagRun.DEFAULT_DAGRUNS_TO_EXAMINE = looks.window
    all_of_them = SchedulerJobRunner._schedule_all_dag_runs

    def those_due(self: Any, guard: Any, dag_runs: Sequence[Run], session: Any) -> Any:
        return all_of_them(self, guard, looks.due(dag_runs), session)

    SchedulerJobRunner._schedule_all_dag_runs = those_due
