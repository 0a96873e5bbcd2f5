"""Runs in: the command line; what both runtimes have in common: the verbs and what they report."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol

Say = Callable[[str], None]


@dataclass(frozen=True)
class Instance:
    """One running part of the stack. `healthy` is None where nothing checks it, as for a step that has ended."""

    service: str
    instance: str
    state: str
    healthy: bool | None
    pid: int | None
    container: str | None
    hostname: str | None
    detail: str = ""

    @property
    def up(self) -> bool:
        """Whether it runs and, where there is a check, passes it."""
        return self.state == "running" and self.healthy is not False

    def as_dict(self) -> dict[str, Any]:
        """Return it as `kit status --json` shows it."""
        return asdict(self)


class Runtime(Protocol):
    """A way to run the stack. Every verb raises a KitError when it cannot do what it says."""

    name: str

    def start(self, say: Say) -> None:
        """Start all parts in order and return once they are launched; `say` is told each step."""

    def down(self, say: Say, delete_data: bool) -> None:
        """Stop all parts, workers first; with `delete_data` also remove databases, queue and logs."""

    def scale(self, workers: int, say: Say) -> None:
        """Have `workers` running instances of airflow-worker; none of the others restarts."""

    def stop(self, instances: list[str], say: Say) -> None:
        """Stop instances as their supervisor would, all at the same time, letting workers finish their tasks; they stay stopped.

        `say` is told who has not stopped yet, and how many tasks each worker still runs where that can be counted.
        An instance that does not run is left as it is. When the caller is interrupted, the stop goes on.
        """

    def start_instances(self, instances: list[str]) -> None:
        """Launch those of the instances that do not run; none of the others restarts."""

    def kill(self, instance: str) -> None:
        """Kill one instance's whole process tree at once, as a crash would; its supervisor starts it again."""

    def names(self) -> list[str]:
        """Return the name of every part that is there, running or not. Raises NotRunningError when the stack is down."""

    def instances(self, names: Collection[str] = ()) -> list[Instance]:
        """Return the named parts, or every part, that is there, running or not; an empty list when the stack is down."""

    def expected(self) -> list[str]:
        """Return the names of the instances that should run."""

    def logs(self, names: list[str], follow: bool, lines: int) -> Iterator[str]:
        """Yield log lines of the named instances, or of all, oldest first."""

    def history(self, names: list[str]) -> dict[str, Iterator[str]]:
        """Return all log lines that are still there, rotated ones too, of the named instances, or of all."""

    def ask(self, service: str, command: list[str]) -> str:
        """Run a command with the environment of a service that is up; return what it printed."""

    def airflow(self, arguments: list[str]) -> int:
        """Run Airflow's own command line in the scheduler's place; return its exit code."""
