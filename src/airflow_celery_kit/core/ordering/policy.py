"""Runs in: airflow-controller; pure: what a priority policy is asked and what it knows. A policy of your own is a class with `weigh`."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from airflow_celery_kit.core.priorities import GREATEST

# Above every weight of authors and of what merely is urgent.
OVERDUE = 2**30
# A weight keeps this many bits, so that time changes it now and then only, not at every look.
KEPT_BITS = 3


@dataclass(frozen=True)
class Waiting:
    """A task instance that waits in Airflow (`scheduled`) or in the broker (`queued`); times in seconds.

    `weight` is what it has now, `base` what it was created with. `waited` since it could run, `run_age` since its run
    began; `deadline` is what is left until its run should be done, None without one; `expected` what its last runs took and
    `remaining` what they took until the end of the whole run, None when none has succeeded or ended. `message` is its Celery id, empty in Airflow.
    """

    id: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    operator: tuple[str, ...]
    queue: str
    state: str
    message: str
    weight: int
    base: int
    waited: float
    run_age: float
    deadline: float | None = None
    expected: float | None = None
    remaining: float | None = None
    tags: tuple[str, ...] = ()
    class_: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Situation:
    """What a policy may look at: shares of the classes, how busy the CPUs of each queue's workers are (0 to 1), the bound of a wait in seconds."""

    shares: dict[str, int] = field(default_factory=dict)
    busy: dict[str, float] = field(default_factory=dict)
    bound: float = 600.0


class Policy:
    """Weighs what waits: the greatest first, twice the weight is one step of the broker, 512 and more the first."""

    # Whether it asks what a task is expected to take.
    needs_durations = True

    def weigh(self, task: Waiting, situation: Situation) -> int:
        """Return the weight of one task, 1 to 2147483647."""
        raise NotImplementedError(f"{type(self).__name__} needs a method weigh(task, situation)")

    def weigh_all(self, tasks: Sequence[Waiting], situation: Situation) -> dict[str, int]:
        """Return the weight of every task by its id; for policies that have to see them all."""
        return {task.id: whole(self.weigh(task, situation)) for task in tasks}


def whole(weight: float) -> int:
    """Return a weight that Airflow's column holds."""
    return min(GREATEST, max(1, int(weight)))


def rounded(weight: float) -> int:
    """Return a weight down to its first bits."""
    number = whole(weight)
    spare = max(0, number.bit_length() - KEPT_BITS)
    return number >> spare << spare
