"""Runs in: every Airflow container, before the process it then becomes; refuses to start without its secrets.

The command follows as arguments; `{instance}` in them stands for the name of this instance.
"""

import errno
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from airflow_celery_kit.instance import NAME_FILE
from airflow_celery_kit.service_log import for_airflow

SECRETS = Path("/run/secrets")
FULL = (errno.ENOSPC, errno.EDQUOT)
RETRY_SECONDS = 1.0


def unusable(files: Iterable[Path]) -> list[str]:
    """Return the names of the secret files that are empty or not readable."""
    return sorted(path.name for path in files if not os.access(path, os.R_OK) or path.stat().st_size == 0)


def container_name() -> str:
    """Return what Docker's DNS calls this container (`lakehouse-airflow-worker-2`), or else the host name, its id.

    The engine writes the id into /etc/hosts, so the question goes to the name server itself.
    """
    import dns.exception
    import dns.resolver

    hostname = socket.gethostname()
    try:
        found = dns.resolver.resolve_address(socket.gethostbyname(hostname), lifetime=3)[0].to_text()
    except (OSError, dns.exception.DNSException):
        return hostname
    container, _, network = found.partition(".")
    return container if network.rstrip(".") else hostname


def keep(name: str, file: Path, pause: Callable[[float], None] = time.sleep) -> None:
    """Write this instance's name where health checks find it. While the disk takes nothing, wait: they would look for somebody else."""
    said = False
    while True:
        try:
            file.write_text(name)
            return
        except OSError as problem:
            if problem.errno not in FULL:
                raise
            if not said:
                print(f"the start waits for room on disk: {file}: {problem.strerror}", file=sys.stderr, flush=True)  # noqa: T201
            said = True
        pause(RETRY_SECONDS)


def main(arguments: list[str]) -> int:
    """Become the command in `arguments`; return `os.EX_CONFIG` with one line when a secret is unusable."""
    if bad := unusable(SECRETS.iterdir() if SECRETS.is_dir() else ()):
        print(f"secrets {', '.join(bad)} are empty or not readable: run 'kit init', then start again", file=sys.stderr)  # noqa: T201
        return os.EX_CONFIG
    name = container_name()
    keep(name, Path(NAME_FILE))
    os.environ["KIT_INSTANCE"] = name
    for setting, value in for_airflow(os.environ).items():
        os.environ.setdefault(setting, value)
    command = [word.replace("{instance}", name) for word in arguments]
    os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
