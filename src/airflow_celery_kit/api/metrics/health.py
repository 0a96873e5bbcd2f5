"""Runs in: airflow-apiserver; what the leading controller has judged, from the row that it writes."""

from collections.abc import Iterator, Sequence
from typing import Any

from airflow_celery_kit.api import snapshot
from airflow_celery_kit.api.metrics.families import GAUGE, Family, Sample
from airflow_celery_kit.controller.counting import MOST_QUEUES
from airflow_celery_kit.core.health import State, Verdict, is_ready, worst

SAID = ", ".join(f"{state.rank} {state}" for state in State)
FAMILIES = {
    "kit_health_state": Family(GAUGE, f"How well a check's worst subject is: {SAID}.", ("check",)),
    "kit_health_ready": Family(GAUGE, "1 where tasks can run: nothing vital is Unhealthy. As old as the verdicts are."),
    "kit_health_seen_timestamp_seconds": Family(
        GAUGE, "When the verdicts were renewed last, in seconds since 1970; 0 when nobody ever looked. All of health is as old as this."
    ),
    "kit_canary_seconds": Family(
        GAUGE, "Seconds that the last canary of a queue took from the controller through the broker, a worker and one of its slots.", ("queue",)
    ),
}  # fmt: skip
# More checks of the user's own than anybody has.
MOST_CHECKS = 100


def samples(session: Any) -> Iterator[Sample]:
    """Return the verdicts as figures; nothing but the time where nobody ever looked."""
    seen = snapshot.read(session, "health")
    yield Sample("kit_health_seen_timestamp_seconds", (), seen.at.timestamp() if seen else 0.0)
    if seen:
        yield from of_verdicts([Verdict.of(one) for one in seen.facts["verdicts"]])
        queues = sorted(seen.facts.get("canary_seconds", {}).items())[:MOST_QUEUES]
        yield from (Sample("kit_canary_seconds", (queue,), seconds) for queue, seconds in queues)


def of_verdicts(verdicts: Sequence[Verdict]) -> Iterator[Sample]:
    """Return how well each check's worst subject is, and whether tasks can run."""
    yield Sample("kit_health_ready", (), float(is_ready(verdicts)))
    for check in sorted({one.check for one in verdicts})[:MOST_CHECKS]:
        state = worst(one for one in verdicts if one.check == check)
        yield Sample("kit_health_state", (check,), float(state.rank))
