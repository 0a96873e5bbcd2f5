"""Runs in: the scheduler and its publishing processes; lets a message out only when the broker takes one.

Airflow fails a task at once when publishing raises anything but its own timeout, and waits a second for each of those.
While the broker is away or full the gate raises that timeout at once, for every message of a batch after the first: the
executor keeps them, no task loses a try, and the scheduler's loop stays quick.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)

# A broker that took a message just now takes the next.
OPEN_SECONDS = 0.5
# Between two looks at a broker that is away.
CLOSED_SECONDS = 2.0
# Airflow logs a line for each task that waits in each loop: the reason is said again among them.
AGAIN_SECONDS = 10.0


@dataclass
class Gate:
    """Asks `knock`, which raises OSError when the broker takes nothing; `clock` is steady and in seconds."""

    knock: Callable[[], None]
    clock: Callable[[], float] = time.monotonic
    until: float = 0.0
    problem: str = ""
    told: float = 0.0

    def closed(self) -> str:
        """Return why nothing can be published now, nothing when it can."""
        if self.clock() >= self.until:
            before, self.problem = self.problem, self._ask()
            self.until = self.clock() + (CLOSED_SECONDS if self.problem else OPEN_SECONDS)
            self._tell(before)
        return self.problem

    def _tell(self, before: str) -> None:
        """Log that the gate has closed, for what reason, now and then that it still is, and that it is open again."""
        if self.problem and (self.problem != before or self.clock() - self.told >= AGAIN_SECONDS):
            log.warning("broker %s: nothing is published, tasks wait in the scheduler", self.problem)
            self.told = self.clock()
        elif before and not self.problem:
            log.warning("the broker takes messages again: what waited is published first")

    def _ask(self) -> str:
        try:
            self.knock()
        except OSError as problem:
            return str(problem) or type(problem).__name__
        except (KeyError, ValueError):
            return ""  # Not the kit's own broker address: nothing to look at, so nothing is held back.
        return ""


def refuse(problem: str) -> None:
    """Raise the timeout that Airflow's executor takes as a reason to keep a task and try again."""
    from airflow.providers.common.compat.sdk import AirflowTaskTimeout

    raise AirflowTaskTimeout(f"nothing is published while the broker is not there: {problem}")
