"""Runs in: health checks of Valkey and of whoever needs it; one authenticated PING over a raw socket.

A client library costs 0.3 s of CPU to import; the protocol needs two lines.
"""

import os
import socket
import sys

TIMEOUT = 5.0


def ping(host: str, port: int, user: str, password: str) -> None:
    """Log in as `user` and send PING. Raises OSError when the broker is away, refuses or is slower than TIMEOUT."""
    with socket.create_connection((host, port), timeout=TIMEOUT) as connection:
        connection.sendall(_command("AUTH", user, password) + _command("PING"))
        with connection.makefile("rb") as replies:
            for expected in (b"+OK", b"+PONG"):
                reply = replies.readline().strip()
                if reply != expected:
                    raise ConnectionError(f"broker says {reply.decode(errors='replace') or 'nothing'}")


def ping_from_environment() -> None:
    """Ping the broker that Airflow's own settings name, as the user that Celery uses."""
    authority = os.environ["AIRFLOW__CELERY__BROKER_URL"].removeprefix("redis://").partition("/")[0]
    host, _, port = authority.rpartition(":")
    with open(os.environ["KIT_BROKER_PASSWORD_FILE"]) as file:
        ping(host, int(port), os.environ.get("KIT_BROKER_USER", "airflow"), file.read().strip())


def _command(*words: str) -> bytes:
    encoded = [word.encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)


def main() -> int:
    """Return 0 when the broker answers, 1 with the reason otherwise."""
    try:
        ping_from_environment()
    except (OSError, KeyError) as problem:
        print(f"broker: {problem}")  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
