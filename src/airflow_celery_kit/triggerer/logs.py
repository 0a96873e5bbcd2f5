"""Runs in: airflow-triggerer, in a process of its own; log files by age, by size, and sooner where the disk is full."""

import os
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import partial
from math import inf, isinf
from pathlib import Path
from typing import Any

from airflow_celery_kit.core.old_logs import Log, choose, excess, run_of
from airflow_celery_kit.rounds import Round, chunks
from airflow_celery_kit.triggerer.in_use import ENDED, LIVE

LIMIT = "logs"
BATCH = 500
# Whoever makes a folder puts a file into it in the same moment.
FOLDER_SECONDS = 3600.0
# Airflow's own names; where an operator chose others nobody can tell from a path whose log it is.
NAMES = "dag_id={{ ti.dag_id }}/run_id={{ ti.run_id }}/"
BUSY = f"""
SELECT dag_id, run_id FROM dag_run WHERE state NOT IN {ENDED}
UNION SELECT dag_id, run_id FROM task_instance WHERE state IN {LIVE}
"""


def busy_runs(cursor: Any) -> set[str]:
    """Return the folders of runs in which something is under way, or waits. Raises psycopg2.Error."""
    cursor.execute(BUSY)
    return {f"dag_id={dag}/run_id={run}" for dag, run in cursor.fetchall()}


def sweep(folder: Path, busy: Collection[str], round_: Round) -> dict[str, Any]:
    """Remove what is old or too much; return how full the disk is, 0 to 1, and whether that is more than it may be. Raises OSError."""
    now, limits, disk = time.time(), round_.limits, shutil.disk_usage(folder)
    used = disk.used / (disk.used + disk.free)
    too_much = excess(disk.used, disk.used + disk.free, limits["disk"])
    known = list(files(folder, now))
    chosen = choose(known, busy, limits, too_much)
    why: dict[str, int] = {}
    for _, reason in chosen:
        why[reason] = why.get(reason, 0) + 1
    oldest = max((log.age for log, _ in chosen), default=0.0)
    row = round_.found("log files", LIMIT, len(chosen), sum(log.bytes for log, _ in chosen), oldest, why=why)
    for some in chunks([log for log, _ in chosen], BATCH):
        if not round_.goes_on():
            break
        round_.remove_once(row, partial(remove, folder, some, now))
    _sweep_folders(folder, busy, round_, now)
    return {"used": round(used, 3), "full": too_much > 0, "files": len(known), "bytes": sum(log.bytes for log in known)}


def files(folder: Path, now: float) -> Iterator[Log]:
    """Yield every regular file; one that vanishes meanwhile is none."""
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                path = os.path.join(parent, name)
                found = os.lstat(path)
                if os.path.isfile(path) and not os.path.islink(path):
                    yield Log(os.path.relpath(path, folder), found.st_size, now - found.st_mtime)


def remove(folder: Path, logs: list[Log], now: float) -> tuple[int, int]:
    """Remove files, but those that were written to since they were looked at; return how many, and their bytes."""
    gone = []
    for log in logs:
        path = folder / log.path
        with suppress(FileNotFoundError):
            if abs(now - path.stat().st_mtime - log.age) < 1e-3:
                path.unlink()
                gone.append(log)
    return len(gone), sum(log.bytes for log in gone)


def _sweep_folders(folder: Path, busy: Collection[str], round_: Round, now: float) -> None:
    if isinf(round_.limits[LIMIT]):
        return
    row = round_.found("empty log folders", LIMIT, 0, 0, 0.0)
    for path, age in empty_folders(folder, busy, round_.limits[LIMIT], now):
        row["rows"] += 1
        row["oldest_seconds"] = max(row["oldest_seconds"], round(age))
        if not round_.dry:
            with suppress(OSError):
                path.rmdir()
                row["removed"] += 1


def empty_folders(folder: Path, busy: Collection[str], age: float, now: float) -> Iterator[tuple[Path, float]]:
    """Yield folders that have been empty for long, with their seconds; one right below `folder` only when it is as old as logs may be.

    A folder that holds nothing but such folders is found by the round after.
    """
    for parent, folders, names in os.walk(folder, topdown=False):
        relative = os.path.relpath(parent, folder)
        if folders or names or relative == "." or run_of(relative) in busy:
            continue
        with suppress(FileNotFoundError):
            idle = now - os.stat(parent).st_mtime
            if idle > (age if os.sep not in relative else min(age, FOLDER_SECONDS)):
                yield Path(parent), idle


def share_used(folder: Path) -> float:
    """Return how full the disk with a folder is, 0 to 1; 0 where there is none."""
    try:
        disk = shutil.disk_usage(folder)
    except OSError:
        return 0.0
    return disk.used / (disk.used + disk.free or inf)
