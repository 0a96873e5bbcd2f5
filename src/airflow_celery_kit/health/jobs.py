"""Runs in: airflow-controller; scheduler, Dag processor and triggerer by the heartbeats that they leave in Airflow's table of jobs."""

from collections.abc import Iterable
from typing import Any, ClassVar

from airflow_celery_kit.core.health import Cause, Finding, State
from airflow_celery_kit.health.anew import Anew
from airflow_celery_kit.health.check import Check
from airflow_celery_kit.probes.job import STALE_SECONDS

# Whoever is silent for longer is not expected to come back under this name.
FORGET_SECONDS = 3600.0
# The newest job of each instance; one that ended as it was told to has no say.
QUERY = """
SELECT DISTINCT ON (hostname) hostname, state, extract(epoch FROM now() - latest_heartbeat)::float8, id,
    lead(state) OVER (PARTITION BY hostname ORDER BY latest_heartbeat DESC)
FROM job WHERE job_type = %(type)s AND latest_heartbeat > now() - %(forget)s * interval '1 s'
ORDER BY hostname, latest_heartbeat DESC
"""


class Jobs(Check):
    """The heartbeats of one kind of job, of every instance."""

    needs = ("metadata",)
    job_type: ClassVar[str] = ""
    confirm = 1
    hangs = State.DEGRADED

    def __init__(self) -> None:
        self.anew = Anew()

    def look(self, metadata: Any) -> Iterable[Finding]:
        """Return one finding for the kind, and one for each instance that is silent while another works."""
        with metadata, metadata.cursor() as cursor:
            cursor.execute(QUERY, {"type": self.job_type, "forget": FORGET_SECONDS})
            rows = cursor.fetchall()
        self.anew.keep({host for host, *_ in rows})
        found = [one for one in rows if one[1] == "running"]
        running = [(host, age) for host, _, age, *_ in found]
        anew = [host for host, _, _, job, before in found if self.anew.is_anew(host, job, expected=before == "success")]
        fresh = [host for host, age in running if age <= STALE_SECONDS]
        silent = {host: age for host, age in running if age > STALE_SECONDS}
        if fresh:
            said = f"last heartbeat {min(age for _, age in running):.0f} s ago"
            yield (
                self.ill("anew", f"{', '.join(anew)} was started anew, {said}")
                if anew
                else self.well(f"{', '.join(fresh)}, {said}")
            )
            yield from (self.ill("silent", f"last heartbeat {age:.0f} s ago", host) for host, age in silent.items())
        else:
            said = ", ".join(f"{host}: last heartbeat {age:.0f} s ago" for host, age in silent.items())
            yield self.ill("none", said or "none runs")


def causes_of(service: str, means: str, vital: bool = False) -> dict[str, Cause]:
    """Return what may be wrong with a kind of job that a service runs."""
    cure = f"see 'kit status' and 'kit logs {service}'; 'kit up' starts one that is stopped"
    return {
        "none": Cause(State.UNHEALTHY, f"no heartbeat of the last {STALE_SECONDS:.0f} s: {means}", cure, vital),
        "anew": Cause(
            State.DEGRADED,
            "one was started anew after the one before had ended without a word",
            f"see why in 'kit logs {service}'",
        ),
        "silent": Cause(State.DEGRADED, f"one of several has had no heartbeat for {STALE_SECONDS:.0f} s", cure),
    }


class Scheduler(Jobs):
    """Sends what is due."""

    name, job_type = "scheduler", "SchedulerJob"
    causes: ClassVar = causes_of("airflow-scheduler", "nothing that becomes due is sent", vital=True)


class DagProcessor(Jobs):
    """Reads Dag files."""

    name, job_type = "dag-processor", "DagProcessorJob"
    causes: ClassVar = causes_of("airflow-dag-processor", "new and changed Dags are not read")


class Triggerer(Jobs):
    """Waits for what tasks have deferred to."""

    name, job_type = "triggerer", "TriggererJob"
    causes: ClassVar = causes_of("airflow-triggerer", "tasks that wait without a slot do not go on")
