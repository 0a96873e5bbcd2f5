"""Runs in: the embedded runtime; the table of its services, the counterpart of docker-compose.yml.

An instance is a service and a number: `airflow-worker-2`. Services without `count` have the number 1 only.
"""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from airflow_celery_kit.errors import BadInputError, NotRunningError
from airflow_celery_kit.runtimes import environment as env
from airflow_celery_kit.settings import Settings

Group = Callable[[Settings], dict[str, str]]

PROBES = "airflow_celery_kit.probes"


@dataclass(frozen=True)
class Service:
    """An Airflow service: its command, the parts of its environment, its health check, its seconds to stop.

    `{instance}` in the command stands for the instance's name and `{KNOB}` for a knob of `.env`; `probe` likewise.
    `count` names the knob that says how many instances there are; without it there is one. `own` are files in `config/` that no other
    service reads.
    """

    name: str
    command: tuple[str, ...]
    groups: tuple[Group, ...]
    probe: tuple[str, ...]
    stop_seconds: int | str = 30
    count: str = ""
    own: tuple[str, ...] = ()

    @property
    def is_worker(self) -> bool:
        """Whether it consumes tasks."""
        return "airflow_celery_kit.worker.guard" in self.command


def _worker(name: str, queue: str, slots: str, count: str = "") -> Service:
    return Service(
        name,
        (
            "python",
            "-m",
            "airflow_celery_kit.worker.guard",
            "airflow",
            "celery",
            "worker",
            "--skip-serve-logs",
            "--queues",
            queue,
            "--concurrency",
            slots,
            "--celery-hostname",
            "{instance}",
        ),
        (env.broker, env.results, env.journal_writer),
        (f"{PROBES}.worker",),
        stop_seconds="STOP_GRACE",
        count=count,
        own=("worker.env",),
    )


SERVERS = ("postgres", "valkey")

INIT = Service("airflow-init", ("python", "-m", "airflow_celery_kit.runtimes.prepare"), (env.metadata, env.init), ())

AIRFLOW = (
    Service(
        "airflow-apiserver",
        ("airflow", "api-server", "--host", "{BIND_ADDRESS}", "--port", "{AIRFLOW_PORT}"),
        (env.metadata, env.signing, env.sessions, env.journal_reader, env.scraped),
        (f"{PROBES}.http", "apiserver", "http://{HOST}:{AIRFLOW_PORT}"),
    ),
    Service(
        "airflow-scheduler",
        ("airflow", "scheduler", "--skip-serve-logs"),
        (env.metadata, env.broker, env.results, env.scheduler, env.signing, env.journal_scheduler),
        (f"{PROBES}.job", "SchedulerJob"),
        stop_seconds=60,
    ),
    Service("airflow-dag-processor", ("airflow", "dag-processor"), (env.metadata,), (f"{PROBES}.job", "DagProcessorJob")),
    Service(
        "airflow-triggerer",
        ("airflow", "triggerer", "--skip-serve-logs"),
        (env.metadata,),
        (f"{PROBES}.job", "TriggererJob"),
        stop_seconds=60,
    ),
    _worker("airflow-worker", "{WORKER_QUEUES}", "{WORKER_CONCURRENCY}", count="WORKERS"),
    _worker("airflow-worker-heavy", "{HEAVY_WORKER_QUEUES}", "{HEAVY_WORKER_CONCURRENCY}"),
    Service(
        "airflow-controller",
        ("python", "-m", "airflow_celery_kit.controller.main"),
        (env.controller,),
        (f"{PROBES}.controller",),
        stop_seconds=15,
        count="CONTROLLERS",
        own=("controller.env",),
    ),
    Service(
        "airflow-flower",
        (
            "python", "-m", "airflow_celery_kit.worker.monitor",
            "--conf={ROOT}/config/flowerconfig.py", "--address={BIND_ADDRESS}", "--port={FLOWER_PORT}",
        ),
        (env.broker, env.flower),
        (f"{PROBES}.http", "flower", "http://{HOST}:{FLOWER_PORT}"),
        stop_seconds=15,
    ),
)  # fmt: skip

BY_NAME = {service.name: service for service in (INIT, *AIRFLOW)}


def instances(settings: Settings) -> list[str]:
    """Return the instances that should run, servers first, in the order they are started."""
    heavy = "heavy" in settings["COMPOSE_PROFILES"].split(",")
    chosen = [service for service in AIRFLOW if heavy or service.name != "airflow-worker-heavy"]
    numbered = [(service.name, settings.number(service.count) if service.count else 1) for service in chosen]
    return [f"{name}-1" for name in SERVERS] + [f"{name}-{n}" for name, count in numbered for n in range(1, count + 1)]


def service_of(instance: str) -> str:
    """Return the service that an instance belongs to: `airflow-worker-2` to `airflow-worker`."""
    return re.sub(r"-\d+$", "", instance)


def is_worker(instance: str) -> bool:
    """Return whether an instance consumes tasks; what a user added to the Compose file does when it is named so."""
    service = BY_NAME.get(service_of(instance))
    return service.is_worker if service else instance.startswith("airflow-worker")


def resolve(name: str, running: list[str]) -> str:
    """Return the instance that a person means by `name`: an instance, or a service that has one instance only.

    Raises BadInputError, naming what there is, for anything else.
    """
    if name in running:
        return name
    candidates = [instance for instance in running if service_of(instance) == name]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise BadInputError(f"{name} has {len(candidates)} instances: name one of {', '.join(candidates)}")
    raise BadInputError(f"there is no {name!r}: name one of {', '.join(running) or 'nothing, the stack is down'}")


def matching(names: list[str], there: list[str]) -> list[str]:
    """Return the instances that `names` mean, services or instances; all when there are no names.

    Raises BadInputError, naming what there is, for a name that means none.
    """
    for name in names:
        if name not in there and name not in map(service_of, there):
            resolve(name, there)
    return [instance for instance in there if not names or instance in names or service_of(instance) in names]


def workers(names: list[str], there: list[str]) -> list[str]:
    """Return the workers that `names` mean, services or instances; every worker when there are no names.

    Raises BadInputError, naming the workers there are, for a name that means anything else, NotRunningError when there is none.
    """
    known = [instance for instance in there if is_worker(instance)]
    if not known:
        raise NotRunningError("there is no worker: 'kit scale 1' starts one")
    if others := [name for name in names if name in (*there, *map(service_of, there)) and not is_worker(name)]:
        raise BadInputError(f"{others[0]} is no worker: name one of {', '.join(known)}, or none for all of them")
    return matching(names, known)


def environment_of(settings: Settings, instance: str, inherited: dict[str, str]) -> dict[str, str]:
    """Return the whole environment of one instance, on top of what it inherits."""
    service = BY_NAME[service_of(instance)]
    merged = {**inherited, **env.airflow_settings(settings, *service.own), **env.addresses(settings)}
    for group in service.groups:
        merged |= group(settings)
    merged |= {"KIT_INSTANCE": instance, "KIT_BEAT_FILE": str(settings.var / "run" / f"{instance}.beat")}
    merged["PATH"] = f"{Path(sys.executable).parent}:{merged.get('PATH', '/usr/bin:/bin')}"
    return merged


def command_of(settings: Settings, instance: str) -> list[str]:
    """Return the command line of one instance."""
    return _fill(BY_NAME[service_of(instance)].command, settings, instance)


def probe_of(settings: Settings, instance: str) -> list[str]:
    """Return the command line of an instance's health check."""
    return [sys.executable, "-m", *_fill(BY_NAME[service_of(instance)].probe, settings, instance)]


def stop_seconds(settings: Settings, instance: str) -> int:
    """Return how long an instance may take to stop."""
    seconds = BY_NAME[service_of(instance)].stop_seconds if service_of(instance) in BY_NAME else 60
    return settings.number(seconds) if isinstance(seconds, str) else seconds


def _fill(words: tuple[str, ...], settings: Settings, instance: str) -> list[str]:
    known = {**settings.values, "instance": instance, "ROOT": str(settings.root), "HOST": settings.host}
    return [word.format_map(known) for word in words]
