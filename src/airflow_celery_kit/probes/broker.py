"""Runs in: health checks of Valkey and of whoever needs it; one authenticated question over a raw socket.

A client library costs 0.3 s of CPU to import; the protocol needs two lines.
"""

import os
import socket
import sys
from collections.abc import Callable
from typing import BinaryIO

TIMEOUT = 5.0
# Above this share of its memory nothing is published: what remains is for taking messages out, which needs room too.
HIGH_WATER = 0.95
FULL = "is full (maxmemory): it refuses messages until there is room"

# What a broker says to a user that it does not let in; one that says anything else cannot be used by anybody.
REFUSALS = (b"-WRONGPASS", b"-NOAUTH", b"-NOPERM")

Check = Callable[[BinaryIO], None]
Question = tuple[tuple[tuple[str, ...], Check], ...]


class LoginError(ConnectionError):
    """The login is refused, or cannot be read: the broker is not to blame."""


def expect(wanted: bytes) -> Check:
    """Return the check that the next line of a reply is `wanted`; it raises ConnectionError otherwise, LoginError where a login is refused."""

    def check(replies: BinaryIO) -> None:
        reply = replies.readline().strip()
        if reply.startswith(b"-OOM"):
            raise ConnectionError(FULL)
        if reply != wanted:
            error = LoginError if reply.startswith(REFUSALS) else ConnectionError
            raise error(f"broker says {reply.decode(errors='replace') or 'nothing'}")

    return check


def expect_room(replies: BinaryIO) -> None:
    """Check the reply to `INFO memory`. Raises ConnectionError above HIGH_WATER."""
    head = replies.readline().strip()
    if not head.startswith(b"$"):
        raise ConnectionError(f"broker says {head.decode(errors='replace') or 'nothing'}")
    facts = dict(line.split(b":", 1) for line in replies.read(int(head[1:])).splitlines() if b":" in line)
    used, limit = int(facts[b"used_memory"]), int(facts[b"maxmemory"])
    if limit and used > limit * HIGH_WATER:
        raise ConnectionError(f"is full ({used / limit:.0%} of maxmemory): new messages wait until there is room")


PING: Question = ((("PING",), expect(b"+PONG")),)
# Both are refused or told by a broker that is full, as a message would be.
WRITE: Question = ((("SET", "kit:publisher", "here", "EX", "60"), expect(b"+OK")), (("INFO", "memory"), expect_room))


def ask(address: tuple[str, int], login: tuple[str, str], question: Question = PING, timeout: float = TIMEOUT) -> None:
    """Log in with user and password, and ask. Raises OSError when the broker is away, answers otherwise or is slower than `timeout`."""
    steps: Question = ((("AUTH", *login), expect(b"+OK")), *question)
    with socket.create_connection(address, timeout=timeout) as connection:
        connection.sendall(b"".join(_command(*words) for words, _ in steps))
        with connection.makefile("rb") as replies:
            for _, check in steps:
                check(replies)


def write_from_environment() -> None:
    """Write a key into the broker as Celery's user, quickly or not at all. Raises OSError, KeyError as `ask` does."""
    ask_from_environment(WRITE, timeout=0.5)


def ask_from_environment(question: Question = PING, timeout: float = TIMEOUT) -> None:
    """Ask the broker that Airflow's own settings name, as the user that Celery uses. Raises what `ask` does, LoginError, KeyError."""
    authority = os.environ["AIRFLOW__CELERY__BROKER_URL"].removeprefix("redis://").partition("/")[0]
    host, _, port = authority.rpartition(":")
    ask((host, int(port)), (os.environ.get("KIT_BROKER_USER", "airflow"), _password()), question, timeout)


def _password() -> str:
    path = os.environ["KIT_BROKER_PASSWORD_FILE"]
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError as problem:
        raise LoginError(f"{path}: {problem.strerror}") from problem


def _command(*words: str) -> bytes:
    encoded = [word.encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)


def main(question: Question = PING) -> int:
    """Return 0 when the broker answers, 1 with the reason otherwise."""
    try:
        ask_from_environment(question)
    except (OSError, KeyError) as problem:
        print(f"broker: {problem}")  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    # As the broker's own check: one that takes no message is not well, though it answers.
    sys.exit(main(WRITE))
