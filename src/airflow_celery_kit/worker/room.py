"""Runs in: Celery workers and their guards; whether there is room on disk for what tasks write: logs, temporary files, events.

A worker without room would take task after task and fail each.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping

LEAST_BYTES = 32 << 20
# Another limit, in bytes.
VARIABLE = "KIT_LEAST_DISK_BYTES"
TEMPORARY = "temporary files"


def temporary() -> str | None:
    """Return the folder of temporary files, None where no folder takes any: Python writes into each that comes into question."""
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        return None


def folders(environment: Mapping[str, str]) -> dict[str, str]:
    """Return where a worker writes, by what for."""
    named = {
        "logs": environment.get("AIRFLOW__LOGGING__BASE_LOG_FOLDER"),
        "events": environment.get("KIT_SPOOL_DIR"),
        TEMPORARY: temporary(),
    }
    return {what: folder for what, folder in named.items() if folder and os.path.isdir(folder)}


def free(environment: Mapping[str, str] = os.environ) -> dict[str, int]:
    """Return the free bytes where a worker writes, by what for; of a folder that cannot be looked at nothing is known."""
    found = {}
    for what, folder in folders(environment).items():
        try:
            found[what] = shutil.disk_usage(folder).free
        except OSError:
            continue
    return found


def problem(environment: Mapping[str, str] = os.environ) -> str:
    """Return where there is too little room, in a sentence; nothing where there is enough."""
    least = int(environment.get(VARIABLE) or LEAST_BYTES)
    short = [f"{size >> 20} MiB left for {what}" for what, size in free(environment).items() if size < least]
    short += [] if temporary() else [f"no folder takes {TEMPORARY}"]
    return f"out of disk: {', '.join(short)}" if short else ""
