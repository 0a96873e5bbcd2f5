"""Runs in: the command line; what a stack looks like now, and whether Dags can run on it."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from airflow_celery_kit.clients import Queues, Worker, registered_workers, waiting_queues
from airflow_celery_kit.runtimes.base import Instance, Runtime
from airflow_celery_kit.runtimes.services import is_worker
from airflow_celery_kit.settings import Settings

FLOWER = "airflow-flower"
API = "airflow-apiserver"
SERVERS = ("postgres", "valkey")
NOT_ASKED = Queues(unknown="nobody was asked")


@dataclass(frozen=True)
class Reason:
    """Why a stack is not ready; `instance` is the one whose log tells more, empty where none does.

    `remedy` is a cure that needs no further look.
    """

    text: str
    instance: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.text}: {self.remedy}" if self.remedy else self.text

    @property
    def cure(self) -> str:
        """What to do, or where to look on."""
        if self.remedy:
            return self.remedy
        return f"see 'kit logs {self.instance}'" if self.instance else "see 'kit doctor'"


@dataclass(frozen=True)
class Status:
    """One look at a stack; `reasons` says why it is not ready and is empty when it is."""

    runtime: str
    reasons: tuple[Reason, ...]
    workers: tuple[Worker, ...]
    services: tuple[Instance, ...]
    urls: dict[str, str]
    queues: Queues = NOT_ASKED

    @property
    def ready(self) -> bool:
        """Whether every part is healthy and, where there should be workers, one at least is registered with the broker."""
        return not self.reasons

    def away(self, workers: list[str]) -> tuple[Reason, ...]:
        """Return why the named workers take no task yet; empty when all do.

        A worker that still finishes its tasks may look healthy, but has left the broker; only Flower knows.
        """
        known = not any(reason.instance == FLOWER for reason in self.reasons)
        registered = {worker.name for worker in self.workers}
        named = [one for one in self.services if one.instance in workers]
        unknown = [one.instance for one in named if known and one.up and one.hostname not in registered]
        reasons = [reason for reason in self.reasons if reason.instance in workers]
        return tuple(reasons + [Reason(f"{name} is not registered with the broker", name) for name in unknown])

    def rests(self, worker: str) -> bool | None:
        """Return whether a worker takes no task by somebody's word, None where nobody knows."""
        return None if self.queues.unknown else worker in self.queues.resting

    def as_dict(self) -> dict[str, Any]:
        """Return it as `kit status --json` shows it."""
        return {
            "runtime": self.runtime,
            "ready": self.ready,
            "reasons": list(map(str, self.reasons)),
            "workers": [
                asdict(worker) | {"queues": list(worker.queues), "resting": self.rests(worker.name)}
                for worker in self.workers
            ],
            "services": [instance.as_dict() for instance in self.services],
            "urls": self.urls,
            "queues": None if self.queues.unknown else list(self.queues.seen),
        }


def collect(settings: Settings, runtime: Runtime) -> Status:
    """Look at every part once. Workers are asked for only when nothing else is missing or Flower is up."""
    found = runtime.instances()
    flower_up = any(one.service == FLOWER and one.up for one in found)
    workers = registered_workers(settings) if flower_up else None
    return Status(
        runtime=runtime.name,
        reasons=tuple(_reasons(runtime.expected(), found, workers)),
        workers=tuple(workers or ()),
        services=tuple(found),
        urls={"airflow": settings.url("AIRFLOW_PORT"), "flower": settings.url("FLOWER_PORT")},
    )


def with_queues(settings: Settings, seen: Status) -> Status:
    """Return a status that also knows what waits in the broker, where the api-server is up to tell it."""
    if any(one.service == API and one.up for one in seen.services):
        return replace(seen, queues=waiting_queues(settings))
    return replace(seen, queues=Queues(unknown=f"{API} is not up"))


def _reasons(expected: list[str], found: list[Instance], workers: list[Worker] | None) -> list[Reason]:
    if not found:
        return [Reason("the stack is not up: run 'kit up'")]
    there = {one.instance for one in found}
    # What others stand on comes first: it is why they fail too.
    reasons = [_why(one) for one in sorted(found, key=lambda one: one.service not in SERVERS) if not one.up]
    reasons += [Reason(f"{name} is missing") for name in expected if name not in there]
    if workers is None:
        reasons.append(Reason("Flower does not answer, so nobody knows the workers", FLOWER))
    elif not workers and (worker := next(filter(is_worker, expected), "")):
        reasons.append(Reason("no worker is registered with the broker", worker))
    return reasons


def _why(instance: Instance) -> Reason:
    if instance.state == "stopped":
        cure = "'kit resume' starts it" if is_worker(instance.instance) else "'kit up' starts it"
        return Reason(f"{instance.instance} is stopped", instance.instance, cure)
    state = instance.state if instance.state != "running" else "not healthy"
    remark = f": {instance.detail}" if instance.detail else ""
    return Reason(f"{instance.instance} is {state}{remark}", instance.instance if instance.hostname else "")
