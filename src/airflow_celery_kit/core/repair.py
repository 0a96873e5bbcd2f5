"""Runs in: airflow-controller and `kit repair`; decides which task instances are stuck, from what three sides believe.

Airflow believes that a task instance is queued or running under a message id; the broker holds messages; live workers
say which messages they hold. A task instance that neither broker nor worker knows will never end by itself, and a message
whose task has ended while its worker died holds a slot of the executor.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

# A message is published a scheduler loop after its row says so, and is in nobody's hands while a worker takes it.
QUEUED_SECONDS = 20.0
# A task's supervisor beats every 2 s; three missed beats and its worker silent is no coincidence.
HEARTBEAT_SECONDS = 20.0
# A heartbeat that was dated back for good; the scheduler has yet to look.
FREED_SECONDS = 43_200.0
# What is wrong must stay wrong this long, over several looks, before anything is done about it.
CONFIRM_SECONDS = 6.0
# Who did not look for longer than this was frozen, and knows nothing of the time between.
GAP_SECONDS = 10.0


class Action(StrEnum):
    """What is done about a stuck task instance."""

    REQUEUE = "requeue"
    REDELIVER = "redeliver"
    FREE = "free"
    CLOSE = "close"


@dataclass(frozen=True)
class TaskInstance:
    """What Airflow believes. `message` is the Celery id; `age` the seconds since it was queued, `silence` since its last heartbeat."""

    id: str
    name: str
    state: str
    message: str
    hostname: str
    age: float
    silence: float | None
    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""

    @property
    def names(self) -> dict[str, str]:
        """What logs are searched by; nothing where the message alone is known."""
        return {"dag_id": self.dag_id, "run_id": self.run_id, "task_id": self.task_id} if self.dag_id else {}


@dataclass(frozen=True)
class Messages:
    """What the broker holds: ids in its queues; delivered and not acknowledged, each id with what it says of its task."""

    waiting: frozenset[str] = frozenset()
    unacked: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """A stuck task instance, what helps, and why in words."""

    task: TaskInstance
    action: Action
    reason: str


def diagnose(
    tasks: Iterable[TaskInstance],
    messages: Messages,
    held: Mapping[str, frozenset[str]],
    started: frozenset[str] = frozenset(),
) -> list[Finding]:
    """Return what is stuck.

    `held` maps each live worker to the ids of the messages in its hands; `started` are those whose result says that they run.
    """
    tasks, in_hands = list(tasks), frozenset().union(*held.values())
    lost = [task for task in tasks if task.message not in in_hands]
    found = [_queued(task, messages) if task.state == "queued" else _running(task, held) for task in lost]
    known = in_hands | {task.message for task in tasks}
    return [*filter(None, found), *_delivered(messages, known), *_unfinished(messages, started - known)]


def _queued(task: TaskInstance, messages: Messages) -> Finding | None:
    if task.age < QUEUED_SECONDS or task.message in messages.waiting:
        return None
    if task.message in messages.unacked:
        return Finding(task, Action.REDELIVER, "a worker that is gone took its message and did not start it")
    return Finding(task, Action.REQUEUE, "its message is in no queue and in no worker's hands")


def _running(task: TaskInstance, held: Mapping[str, frozenset[str]]) -> Finding | None:
    if task.silence is None or not HEARTBEAT_SECONDS <= task.silence < FREED_SECONDS:
        return None
    state = "does not have it" if task.hostname in held else "is gone"
    return Finding(
        task, Action.FREE, f"its worker {task.hostname} {state} and its last heartbeat is {task.silence:.0f} s old"
    )


def _delivered(messages: Messages, known: frozenset[str]) -> Iterator[Finding]:
    """Yield what lies with workers that are gone and belongs to no task instance that is queued or running."""
    for message, name in messages.unacked.items():
        if message in known:
            continue
        # A message that names no task is a callback, which Airflow keeps no message id of: it may not have run.
        if "/" in name:
            yield _of(message, name, Action.CLOSE, "its task has ended and the worker that held it is gone")
        else:
            yield _of(message, name, Action.REDELIVER, "a worker that is gone took it and did not acknowledge it")


def _unfinished(messages: Messages, started: frozenset[str]) -> Iterator[Finding]:
    """Yield results that nobody will finish: each holds a slot of the executor that asks for it."""
    for message in sorted(started - messages.waiting - messages.unacked.keys()):
        yield _of(message, message, Action.CLOSE, "its result says that it runs, and nobody has it")


def _of(message: str, name: str, action: Action, reason: str) -> Finding:
    return Finding(TaskInstance("", name, "ended", message, "", 0.0, None), action, reason)


@dataclass
class Suspicions:
    """Remembers since when each finding is seen, so that nothing is repaired on one look."""

    since: dict[tuple[str, str, Action], float] = field(default_factory=dict)
    looked: float = 0.0

    def confirmed(self, findings: Iterable[Finding], now: float) -> list[Finding]:
        """Return the findings that were seen at every look for CONFIRM_SECONDS; `now` in seconds of one steady clock."""
        if now - self.looked > GAP_SECONDS:
            self.forget()
        self.looked = now
        seen = {(one.task.id, one.task.message, one.action): one for one in findings}
        self.since = {key: self.since.get(key, now) for key in seen}
        return [one for key, one in seen.items() if now - self.since[key] >= CONFIRM_SECONDS]

    def settle(self, finding: Finding) -> None:
        """Begin anew with one finding, which was acted on: it may take some seconds to vanish."""
        self.since.pop((finding.task.id, finding.task.message, finding.action), None)

    def forget(self) -> None:
        """Begin anew, as after an outage in which nothing could be seen."""
        self.since.clear()
