"""Runs in: the health check of a worker; the beat file is fresh, and the broker lets the worker's own user in.

The worker touches the file from its event loop while it takes from all its queues (`worker/reports.py`), so a fresh file says that it
consumes; nothing is broadcast and Airflow is not imported. While the broker is away no worker can beat: that is the broker's illness,
and a worker that has beaten before is well until it has had time to find its way back.
"""

import os
import sys
import time
from pathlib import Path

from airflow_celery_kit.probes import broker

# A worker beats every 2 s; ten missed beats are no hiccup, and two failed checks of Docker's later it is still within a minute.
STALE_SECONDS = 20.0
# A worker waits five seconds between two tries to reach a broker that was away (`worker/reconnecting.py`), and each may take ten.
RETURN_SECONDS = 20.0
NEVER = "no beat yet"


def beat_age(path: str) -> float:
    """Return the seconds since the worker's last beat. Raises OSError when there was none yet."""
    return time.time() - os.stat(path).st_mtime


def beat_problem() -> str:
    """Return what is wrong with the file that `KIT_BEAT_FILE` names, nothing when it is fresh."""
    try:
        age = beat_age(os.environ["KIT_BEAT_FILE"])
    except FileNotFoundError:
        return NEVER
    return f"last beat {age:.0f} s ago" if age > STALE_SECONDS else ""


def away_mark() -> Path:
    """Return the file beside the beat that the guard of a silent worker touches while the broker is away."""
    return Path(f"{os.environ['KIT_BEAT_FILE']}.away")


def was_away() -> bool:
    """Return whether the broker was away so lately that a worker may still be on its way back to it."""
    try:
        return abs(time.time() - away_mark().stat().st_mtime) < RETURN_SECONDS
    except FileNotFoundError:
        return False


def main() -> int:
    """Return 0 for a worker that beats, or cannot because the broker is or was away; 1 with the reason otherwise."""
    problem = beat_problem()
    try:
        broker.ask_from_environment()
    except (broker.LoginError, KeyError) as refused:
        print(f"broker: {refused}")  # noqa: T201
        return 1
    except OSError as away:
        print(f"broker: {away}")  # noqa: T201
        return int(problem == NEVER)
    if problem:
        print(f"worker: {problem}")  # noqa: T201
    return int(problem == NEVER or (bool(problem) and not was_away()))


if __name__ == "__main__":
    sys.exit(main())
