"""Runs in: airflow-controller; processes of tasks that were killed, and what was run again because nobody had it, by the journal."""

from collections.abc import Iterable
from typing import Any, ClassVar

from airflow_celery_kit.core.health import Cause, Finding, State
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
            "SIGKILL without a word of anybody is often the kernel, for memory: fewer slots or more WORKER_MEMORY; see 'kit tasks events'",
        ),
        "left": Cause(
            State.DEGRADED,
            f"a worker was told to leave and ended tasks that had not ended by then, in the last {TOLD_SECONDS:.0f} s",
            "they are run again; a longer STOP_GRACE lets them end",
        ),
        "repaired": Cause(
            State.DEGRADED,
            f"tasks were put right in the last {TOLD_SECONDS:.0f} s that nobody had any more",
            "nothing; 'kit tasks events' says why",
        ),
    }

    def look(self, journal: Any) -> Iterable[Finding]:
        """Return one finding: the first cause in the order above."""
        with journal, journal.cursor() as cursor:
            cursor.execute(QUERY, (TOLD_SECONDS,))
            found = {what: rest for what, *rest in cursor.fetchall()}
        for cause in self.causes:
            if cause in found:
                number, workers, latest = found[cause]
                where = f" on {', '.join(workers)}" if workers else ""
                said = "its worker left before it had ended" if cause == "left" else latest
                return [self.ill(cause, f"{number} task{'s' if number > 1 else ''}{where}: {said}")]
        return [self.well("no process of a task was killed of late")]
