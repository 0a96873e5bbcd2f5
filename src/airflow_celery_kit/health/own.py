"""Runs in: airflow-controller; loads checks of the user's own, each name as a look of its own: what hangs or breaks there delays no other check."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from airflow_celery_kit.core.health import Cause, Finding, State
from airflow_celery_kit.health import table
from airflow_celery_kit.health.check import Check


class Own(Check):
    """Stands for a name of the user's until its checks are there, which `checks` holds then."""

    # A file that was mended is found without a restart.
    every = 60.0
    hangs = State.DEGRADED
    causes: ClassVar[Mapping[str, Cause]] = {
        "unusable": Cause(
            State.DEGRADED,
            "a check of your own cannot be loaded",
            f"see {table.VARIABLE}, and the folder `plugins`",
        )
    }

    def __init__(self, name: str, load: Callable[[], Any]) -> None:
        self.name = f"own-check {name}"  # type: ignore[misc]
        self.load, self.checks = load, list[Check]()

    def look(self) -> Iterable[Finding]:
        """Load what there is."""
        try:
            self.checks = table.checks_of(self.load())
        except (Exception, SystemExit) as problem:
            return [self.unusable(f"{type(problem).__name__}: {problem}")]
        return []

    def unusable(self, why: str) -> Finding:
        """Return that what was loaded is no check, or not one of its own."""
        self.checks = []
        return self.ill("unusable", f"cannot be used: {why}")


def twice(names: Iterable[str], checks: Iterable[Check]) -> list[str]:
    """Return the names of checks that stand for another one already: verdicts of both would be one's."""
    counted = Counter([*set(names), *(one.name for one in checks)])
    return sorted(name for name, number in counted.items() if number > 1)
