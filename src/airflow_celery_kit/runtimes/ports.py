"""Runs in: the command line; which TCP ports are free on this machine."""

import errno
import socket

from airflow_celery_kit.errors import MachineError

SEARCHED = 200


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Return whether nobody listens on `port` of `host` now. Raises MachineError for an address of another machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as problem:
            if problem.errno == errno.EADDRNOTAVAIL:
                raise MachineError(
                    f"{host} is no address of this machine: put another BIND_ADDRESS into .env"
                ) from problem
            return problem.errno != errno.EADDRINUSE
    return True


def next_free(port: int, host: str = "127.0.0.1", taken: frozenset[int] = frozenset()) -> int:
    """Return `port` or the first free one above it that is not in `taken`. Raises OSError when 200 in a row are taken."""
    for candidate in range(port, min(port + SEARCHED, 65536)):
        if candidate not in taken and is_free(candidate, host):
            return candidate
    raise OSError(f"no free port in {port}-{port + SEARCHED - 1}")
