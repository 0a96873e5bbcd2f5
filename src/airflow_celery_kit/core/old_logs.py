"""Runs in: airflow-triggerer; pure: which log files are to go."""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from airflow_celery_kit.core.housekeeping import Limits

AGE, SIZE, DISK = "age", "size", "disk"


@dataclass(frozen=True)
class Log:
    """A log file: its path below the log folder, its size, and seconds since it was last written to."""

    path: str
    bytes: int
    age: float


def run_of(path: str) -> str:
    """Return the folder of the Dag run that a path belongs to; nothing for a log of a service."""
    dag, run, *_ = [*path.split("/"), "", ""]
    return f"{dag}/{run}" if dag.startswith("dag_id=") and run.startswith("run_id=") else ""


def choose(logs: Iterable[Log], busy: Collection[str], limits: Limits, excess: float = 0.0) -> list[tuple[Log, str]]:
    """Return what is to go, each with its reason, the least recently written first.

    `busy` are folders of Dag runs of which every log stays, `limits` the seconds `logs` and `logs_keep` and the bytes `logs_size`, `excess`
    how many bytes the disk has too many.
    """  # fmt: skip
    known = sorted(logs, key=lambda log: (-log.age, log.path))
    left = sum(log.bytes for log in known)
    chosen = []
    for log in known:
        if log.age < limits["logs_keep"] or run_of(log.path) in busy:
            continue
        if log.age > limits["logs"]:
            reason = AGE
        elif left > limits["logs_size"]:
            reason = SIZE
        elif excess > 0:
            reason = DISK
        else:
            break
        chosen.append((log, reason))
        left -= log.bytes
        excess -= log.bytes
    return chosen


def excess(used: float, total: float, most: float) -> float:
    """Return how many bytes of a disk are used above a share of it; 0 where there are not too many."""
    return 0.0 if math.isinf(most) else max(0.0, used - total * most)
