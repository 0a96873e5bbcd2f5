"""Runs in: the scheduler; has a loop look at the Dag runs that rang, and at the others when there is time.

Airflow looks at twenty running Dag runs in each loop, whether something has happened in them or not, before it sends a task. Where
twenty workflows are under way, a task that has ended waits for nineteen looks at others until its successor is sent.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from airflow_celery_kit import patching

log = logging.getLogger(__name__)

# So many running Dag runs are read in one loop; each costs a fraction of a millisecond, a look at it some milliseconds.
WINDOW = 64
# So many of those that did not ring are looked at in a loop that came before its time.
FEW = 2
WRITTEN_AGAINST = {"_schedule_all_dag_runs": "c2ef4c5dbb09", "_do_scheduling": "51f71a9e8998"}
READ_AGAINST = {"get_running_dag_runs_to_examine": "e408ccb8d0c8"}


class Run(Protocol):
    """What is read of a Dag run."""

    id: int
    dag_id: str
    run_id: str


class Looks:
    """Chooses among running Dag runs.

    `rung` gives the names of those that rang since it was asked last, None where any may have changed. `interval` is the time in
    seconds between two looks at one that did not ring, where the scheduler has nothing else to do. `share` is how many Airflow looks at in each loop.
    """

    def __init__(
        self,
        rung: Callable[[], set[str] | None],
        interval: float,
        share: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rung, self.interval, self.share, self.clock = rung, interval, share, clock
        self.window = max(WINDOW, share)
        self.seen: dict[int, float] = {}
        self.last = float("-inf")

    def due(self, runs: Sequence[Run]) -> list[Run]:
        """Return which of the running Dag runs to look at now; they come with the one first that was not looked at for longest.

        Where there are `window` or more, not all of them are seen, and as many as Airflow would are looked at besides those that rang.
        """
        names, now, full = self.rung(), self.clock(), len(runs) >= self.window
        first = [run for run in runs if names is None or name_of(run) in names or not (full or run.id in self.seen)]
        others = [run for run in runs if run not in first and (full or now - self.seen[run.id] >= self.interval)]
        chosen = first + others[: self.share if full else self._most(now)]
        self.last = now
        self.seen = {run.id: now if run in chosen else self.seen.get(run.id, now) for run in runs}
        return chosen

    def _most(self, now: float) -> int:
        """Return how many that did not ring are looked at: all of them after a sleep that nothing ended."""
        return self.window if now - self.last >= self.interval else FEW


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
