"""Runs in: the command line; what a stack looks like now, and whether Dags can run on it."""

from dataclasses import asdict, dataclass
from typing import Any

from airflow_celery_kit.clients import Worker, registered_workers
from airflow_celery_kit.runtimes.base import Instance, Runtime
from airflow_celery_kit.settings import Settings


@dataclass(frozen=True)
class Status:
    """One look at a stack; `reasons` says in words why it is not ready and is empty when it is."""

    runtime: str
    reasons: tuple[str, ...]
    workers: tuple[Worker, ...]
    services: tuple[Instance, ...]
    urls: dict[str, str]

    @property
    def ready(self) -> bool:
        """Whether every part is healthy and at least one worker is registered with the broker."""
        return not self.reasons

    def as_dict(self) -> dict[str, Any]:
        """Return it as `kit status --json` shows it."""
        return {
            "runtime": self.runtime,
            "ready": self.ready,
            "reasons": list(self.reasons),
            "workers": [asdict(worker) | {"queues": list(worker.queues)} for worker in self.workers],
            "services": [instance.as_dict() for instance in self.services],
            "urls": self.urls,
        }


def collect(settings: Settings, runtime: Runtime) -> Status:
    """Look at every part once. Workers are asked for only when nothing else is missing or Flower is up."""
    found = runtime.instances()
    flower_up = any(one.service == "airflow-flower" and one.up for one in found)
    workers = registered_workers(settings) if flower_up else None
    return Status(
        runtime=runtime.name,
        reasons=tuple(_reasons(runtime.expected(), found, workers)),
        workers=tuple(workers or ()),
        services=tuple(found),
        urls={"airflow": settings.url("AIRFLOW_PORT"), "flower": settings.url("FLOWER_PORT")},
    )


def _reasons(expected: list[str], found: list[Instance], workers: list[Worker] | None) -> list[str]:
    if not found:
        return ["the stack is not up: run 'kit up'"]
    there = {one.instance: one for one in found}
    reasons = [f"{name} is missing" for name in expected if name not in there]
    reasons += [_why(one) for one in found if not one.up]
    if workers is None:
        reasons.append("Flower does not answer, so nobody knows the workers")
    elif not workers:
        reasons.append("no worker is registered with the broker")
    return reasons


def _why(instance: Instance) -> str:
    if instance.state != "running":
        return f"{instance.instance} is {instance.state}"
    return f"{instance.instance} is not healthy: {instance.detail}"
