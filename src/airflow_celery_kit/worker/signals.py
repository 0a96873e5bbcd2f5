"""Runs in: Celery workers (Flower imports it too); the beat file that the health check reads.

Celery sends `heartbeat_sent` from the worker's own event loop, every two seconds, only while the consumer has a
connection to the broker. A file that stays fresh is therefore proof that the loop turns and is connected.
"""

import os
from pathlib import Path

from celery.signals import heartbeat_sent, worker_shutdown


def beat_file() -> Path | None:
    """Return the file named by `KIT_BEAT_FILE`, or None where no health check reads one."""
    named = os.environ.get("KIT_BEAT_FILE")
    return Path(named) if named else None


@heartbeat_sent.connect
def touch_beat_file(**_: object) -> None:
    """Give the beat file the present time."""
    if path := beat_file():
        path.touch()


@worker_shutdown.connect
def remove_beat_file(**_: object) -> None:
    """A worker that has left must not look alive for the rest of the threshold."""
    if path := beat_file():
        path.unlink(missing_ok=True)
