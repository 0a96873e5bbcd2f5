"""Runs in: the health check of a worker; the beat file is fresh and the broker answers the worker's own user.

The worker touches the file from its event loop while it is connected (`worker/reports.py`), so a fresh file says that
it consumes; nothing is broadcast and Airflow is not imported.
"""

import os
import sys
import time

from airflow_celery_kit.probes import broker

# A worker beats every 2 s; ten missed beats are no hiccup, and two failed checks of Docker's later it is still within a minute.
STALE_SECONDS = 20.0


def beat_age(path: str) -> float:
    """Return the seconds since the worker's last beat. Raises OSError when there was none yet."""
    return time.time() - os.stat(path).st_mtime


def beat_problem() -> str:
    """Return what is wrong with the file that `KIT_BEAT_FILE` names, nothing when it is fresh."""
    try:
        age = beat_age(os.environ["KIT_BEAT_FILE"])
    except FileNotFoundError:
        return "no beat yet"
    return f"last beat {age:.0f} s ago" if age > STALE_SECONDS else ""


def main() -> int:
    """Return 0 when the worker beats and its broker answers, 1 with the reason otherwise: a broker that is away comes first."""
    if failed := broker.main():
        return failed
    if problem := beat_problem():
        print(f"worker: {problem}")  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
