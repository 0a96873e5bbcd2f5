"""Runs in: the scheduler; leaves the search for Dag runs to create and to start out of loops in which only tasks rang.

Airflow begins each loop with it, before it looks at what a task that has ended leaves to do: a quarter of the loop's time.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

from airflow_celery_kit import patching

WRITTEN_AGAINST = {
    "_do_scheduling": "51f71a9e8998", "_create_dagruns_for_dags": "4dd7b1312882", "_start_queued_dagruns": "fbda17747608",
    "_schedule_dag_run": "246df0509d2c",
}  # fmt: skip
NEVER = float("-inf")


class Beginnings:
    """Says in which loops runs are created and started: where something else than tasks rang or nothing did, after a loop in which a
    run has ended, which makes room for another, and once in `interval` seconds whatever rings.

    `only_tasks` returns whether tasks rang since it was asked last, and nothing else. `clock` is steady and in seconds.
    """

    def __init__(
        self, only_tasks: Callable[[], bool], interval: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.only_tasks, self.interval, self.clock = only_tasks, interval, clock
        self.last, self.due, self.room = NEVER, True, False

    def begin(self) -> None:
        """Decide for the loop that begins now."""
        now, only_tasks = self.clock(), self.only_tasks()
        self.due = not only_tasks or self.room or now - self.last >= self.interval
        if self.due:
            self.last, self.room = now, False

    def at_each(self, loop: Callable[..., int]) -> Callable[..., int]:
        """Return the loop's decisions, before which it is decided here."""

        @functools.wraps(loop)
        def begun(*arguments: Any, **named: Any) -> int:
            self.begin()
            return loop(*arguments, **named)

        return begun

    def where_due(self, step: Callable[..., None]) -> Callable[..., None]:
        """Return a step of the loop that is left out where it is not due."""

        @functools.wraps(step)
        def stepped(*arguments: Any, **named: Any) -> None:
            if self.due:
                step(*arguments, **named)

        return stepped

    def noticing_ends(self, look: Callable[..., Any]) -> Callable[..., Any]:
        """Return the look at one Dag run, after which it is known here whether the run has ended."""

        @functools.wraps(look)
        def looked(runner: Any, dag_run: Any, session: Any) -> Any:
            found = look(runner, dag_run, session)
            self.room = self.room or dag_run.state != "running"
            return found

        return looked


def install(only_tasks: Callable[[], bool]) -> None:
    """Have this process's scheduler create and start runs in those loops only."""
    from airflow.configuration import conf
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner

    if not patching.fits("creating and starting Dag runs when they are due", SchedulerJobRunner, WRITTEN_AGAINST):
        return
    beginnings = Beginnings(only_tasks, conf.getfloat("scheduler", "scheduler_idle_sleep_time"))
    SchedulerJobRunner._do_scheduling = beginnings.at_each(SchedulerJobRunner._do_scheduling)
    SchedulerJobRunner._create_dagruns_for_dags = beginnings.where_due(SchedulerJobRunner._create_dagruns_for_dags)
    SchedulerJobRunner._start_queued_dagruns = beginnings.where_due(SchedulerJobRunner._start_queued_dagruns)
    SchedulerJobRunner._schedule_dag_run = beginnings.noticing_ends(SchedulerJobRunner._schedule_dag_run)
