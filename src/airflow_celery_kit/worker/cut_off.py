"""Runs in: the guard of a silent worker that does not reach its broker; whether others do.

A broker that is away is away for all, and the api-server's `ready` says so. Who alone is cut off can be replaced: a container that starts
again gets its network anew.
"""

import socket
import time
from collections.abc import Mapping

from airflow_celery_kit.probes.http import get_text

ADDRESS, READY = "AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "/kit/v1/health/ready"
SECONDS = 3.0
ALONE = "others reach the broker"
NOWHERE = "it reaches neither the broker nor the api-server"


def reason(environment: Mapping[str, str]) -> str:
    """Return how the api-server shows that this worker alone is without a broker; nothing where it does not."""
    scheme, _, rest = environment.get(ADDRESS, "").partition("://")
    host, _, port = (authority := rest.partition("/")[0]).rpartition(":")
    # Behind TLS or a proxy the api-server may well be there and not be understood here.
    if scheme != "http" or not port.isdecimal():
        return ""
    if not is_on_the_network(host.strip("[]"), int(port)):
        return NOWHERE
    try:
        get_text(authority, READY, time.monotonic() + SECONDS)
    except OSError:
        return ""
    return ALONE


def is_on_the_network(host: str, port: int) -> bool:
    """Return whether there is a way to a machine, be it that nothing listens there."""
    try:
        socket.create_connection((host, port), SECONDS).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True
