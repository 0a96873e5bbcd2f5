"""Runs in: airflow-controller; what every check is. One of your own is a class with `name`, `causes` and `look`."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar

from airflow_celery_kit.core.health import Cause, Finding, State

# What any look may meet.
LATE = "late"
BLIND = "blind"


class Check:
    """Looks at one thing again and again.

    `needs` names what `look` is given, in this order: `metadata`, `results` and `journal` are fresh connections of psycopg2, `broker` is
    the controller's `Broker`. `every` is between two looks and `deadline` the longest that one may take, in seconds; `confirm` is how
    many looks in a row make another state. `hangs` is the state of a look that is not back in time.
    """

    name: ClassVar[str] = ""
    needs: ClassVar[tuple[str, ...]] = ()
    causes: ClassVar[Mapping[str, Cause]] = {}
    every: float = 10.0
    deadline: float = 8.0
    confirm: int = 2
    hangs: State = State.UNHEALTHY

    def look(self, *given: Any) -> Iterable[Finding]:
        """Return a finding for each subject. What it raises says that nothing could be seen: Degraded."""
        raise NotImplementedError(f"{type(self).__name__} needs a method look")

    def remember(self, subjects: Collection[str]) -> None:
        """Be told once, when this controller begins to look, which subjects the last one knew."""

    def well(self, why: str = "", subject: str = "") -> Finding:
        """Return that a subject is healthy; `subject` is the check's own name where it has one alone."""
        return Finding(subject or self.name, State.HEALTHY, why)

    def ill(self, cause: str, why: str, subject: str = "") -> Finding:
        """Return that a subject is not, for one of `causes`."""
        known = self.causes[cause]
        return Finding(subject or self.name, known.state, why, known.cure, known.vital)
