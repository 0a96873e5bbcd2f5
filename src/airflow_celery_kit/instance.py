"""Runs in: every Airflow process and every health check; tells an instance its own name.

Airflow calls `name` as its `hostname_callable`; workers pass the result to Celery's `-H`.
"""

import os

# A health check is started by Docker with the container's environment, not with that of its main process.
NAME_FILE = "/tmp/kit-instance"  # noqa: S108


def name() -> str:
    """Return this instance's name, for example `airflow-worker-2`: unique in the stack, stable over restarts.

    It is in `KIT_INSTANCE`, or in the file that a container's start step wrote; a process outside both has its
    host's name.
    """
    named = os.environ.get("KIT_INSTANCE")
    if named:
        return named
    try:
        with open(NAME_FILE) as file:
            return file.read()
    except FileNotFoundError:
        return os.uname().nodename
