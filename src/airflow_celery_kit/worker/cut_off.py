"""Runs in: the guard of a silent worker that does not reach its broker; whether others do.

A broker that is away is away for all, and the api-server's `ready` says so. Who alone is cut off can be replaced: a container that starts
again gets its network anew. Whatever is not understood speaks for the worker.
"""

import re
import socket
import time
from collections.abc import Mapping

from airflow_celery_kit.probes.http import get_json

ADDRESS, READY = "AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "/kit/v1/health/ready"
SECONDS = 2.0
ALONE = "others reach the broker"
AUTHORITY = re.compile(r"[^@:]+:\d{1,5}|\[[0-9a-f:]+\]:\d{1,5}")
NOWHERE = "it reaches neither the broker nor the api-server"


def reason(environment: Mapping[str, str]) -> str:
    """Return how the api-server shows that this worker alone is without a broker; nothing where it does not."""
    scheme, _, rest = environment.get(ADDRESS, "").partition("://")
    authority = rest.partition("/")[0]
    # An api-server behind TLS or a login may well be there.
    if scheme != "http" or not AUTHORITY.fullmatch(authority):
        return ""
    try:
        if not is_on_the_network(authority):
            return NOWHERE
        said = get_json(authority, READY, time.monotonic() + SECONDS)
    except (OSError, ValueError):
        return ""
    # Where no controller looks it would answer the same if nobody had a broker.
    return ALONE if isinstance(said, dict) and said.get("judged") else ""


def is_on_the_network(authority: str) -> bool:
    """Return whether there is a way to a machine, be it that nothing listens there. Raises ValueError for a name that cannot be one."""
    host, _, port = authority.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True
