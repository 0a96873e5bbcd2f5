"""Runs in: airflow-controller; processes of tasks that were killed, and what was run again because nobody had it, by the journal."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from airflow_celery_kit.core.health import Cause, Finding, State
from airflow_celery_kit.core.words import count
from airflow_celery_kit.health.check import Check

# Long enough for those who collect states now and then.
TOLD_SECONDS = 20.0
QUERY = "SELECT what, number, workers, latest FROM journal.deaths(%s)"


class Deaths(Check):
    """What became of tasks in the last twenty seconds that is nobody's word: a process killed, a message repaired."""

    name = "deaths"
    needs = ("journal",)
    # An event is a fact, which no second look makes truer.
    confirm = 1
    hangs = State.DEGRADED
    causes: ClassVar = {
        "killed": Cause(
            State.DEGRADED,
            f"the process of a task was killed in the last {TOLD_SECONDS:.0f} s",
            "a SIGKILL that nobody sent is often the kernel's, for want of memory: fewer slots or more WORKER_MEMORY; see 'kit tasks list'",
        ),
        "left": Cause(
            State.DEGRADED,
            f"a worker was told to leave, and ended what it still ran at the end of its time, in the last {TOLD_SECONDS:.0f} s",
            "nothing, they are run again; with a longer STOP_GRACE they would have ended",
        ),
        "repaired": Cause(
            State.DEGRADED,
            f"tasks that nobody had any more were put right in the last {TOLD_SECONDS:.0f} s",
            "nothing, they are run again; 'kit tasks show ID' says why",
        ),
    }

    def look(self, journal: Any) -> Iterable[Finding]:
        """Return one finding: the first cause in the order above."""
        with journal, journal.cursor() as cursor:
            cursor.execute(QUERY, (TOLD_SECONDS,))
            found = {what: rest for what, *rest in cursor.fetchall()}
        for cause in self.causes:
            if cause in found:
                return [self.ill(cause, sentence(cause, *found[cause]))]
        return [self.well("no process of a task was killed of late")]


def sentence(cause: str, number: int, workers: Sequence[str] | None, latest: str) -> str:
    """Return how many tasks it happened to, where, and why; of several why it happened to the last one."""
    tasks = count(number, "task") + (f" on {', '.join(workers)}" if workers else "")
    if cause != "left":
        return f"{tasks}: {latest}" if number == 1 else f"{tasks}, the last one: {latest}"
    if number == 1:
        return f"{tasks}: its worker left before it had ended"
    return f"{tasks}: their {'worker' if len(workers or ()) < 2 else 'workers'} left before they had ended"
