"""Runs in: the scheduler; has it rest after a loop for as long as the loop's decisions took, so that what ends meanwhile shares the next one.

Airflow begins the next loop at once after one that has sent or noticed something. Where tasks end all the time, a loop is made for
each of them, and each reads every task of a run that has changed. Where they end seldom, the loop that follows finds nothing.
"""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from airflow_celery_kit import patching

MOST_SECONDS = 0.5
WRITTEN_AGAINST = {"_do_scheduling": "51f71a9e8998", "_run_scheduler_loop": "d7dd5578d64a"}

Result = TypeVar("Result")


@dataclass
class Pace:
    """When the next loop may decide. `clock` is steady; both are in seconds."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    due: float = float("-inf")

    def keep(self, decide: Callable[[], Result]) -> Result:
        """Return what `decide` returns; it is called once as much time has passed as it took the last time, MOST_SECONDS at the latest."""
        if (left := self.due - self.clock()) > 0:
            self.sleep(left)
        begun = self.clock()
        result = decide()
        ended = self.clock()
        self.due = ended + min(MOST_SECONDS, ended - begun)
        return result


def install(first: Callable[[], None]) -> None:
    """Have this process's scheduler keep its pace; `first` is called before each loop, and raises nothing."""
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner

    if not patching.fits("resting between loops", SchedulerJobRunner, WRITTEN_AGAINST):
        return
    pace, decide = Pace(), SchedulerJobRunner._do_scheduling

    @functools.wraps(decide)
    def decide_in_time(self: Any, session: Any) -> int:
        first()
        return pace.keep(lambda: decide(self, session))

    SchedulerJobRunner._do_scheduling = decide_in_time
