"""Runs in: `make bench`; what the processes of an embedded stack use, from /proc."""

import contextlib
from pathlib import Path

import psutil

from airflow_celery_kit.runtimes.services import service_of
from airflow_celery_kit.runtimes.supervision import Supervision
from airflow_celery_kit.settings import Settings


def trees(settings: Settings) -> dict[str, int]:
    """Return the top process of each instance that runs."""
    return {name: int(info["pid"]) for name, info in Supervision(settings).processes().items() if info["pid"]}


def seconds(settings: Settings) -> dict[str, float]:
    """Return the CPU seconds, user and system, that each instance has used since its start, with its ended children."""
    return {name: sum(map(_used, _tree(pid))) for name, pid in trees(settings).items()}


def pss(settings: Settings) -> dict[str, int]:
    """Return the proportional set size of each instance in bytes (proc(5), smaps_rollup)."""
    return {name: sum(map(_pss, _tree(pid))) for name, pid in trees(settings).items()}


def count(settings: Settings, service: str) -> int:
    """Return how many processes the instances of a service have: a task that runs is one more."""
    return sum(len(_tree(pid)) for name, pid in trees(settings).items() if service_of(name) == service)


def spent(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Return what was used between two looks by each service, its instances together."""
    found: dict[str, float] = {}
    for name, used in after.items():
        service = service_of(name)
        found[service] = found.get(service, 0.0) + used - before.get(name, 0.0)
    return found


def wanted() -> tuple[float, float]:
    """Return the CPU seconds that this machine has asked for since its start, and those of them that its host gave to others (proc(5), steal)."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - times.iowait - times.guest - times.guest_nice, times.steal


def taken(before: tuple[float, float], after: tuple[float, float]) -> float:
    """Return the share of what was asked for between two looks that the host gave to others; 0 on a machine of its own."""
    asked, stolen = (late - early for early, late in zip(before, after, strict=True))
    return stolen / asked if asked else 0.0


def _tree(pid: int) -> list[psutil.Process]:
    top = psutil.Process(pid)
    return [top, *top.children(recursive=True)]


def _used(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0


def _pss(process: psutil.Process) -> int:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
