"""Runs in: health checks of api-server and Flower; one request over a raw connection, as the real user; `http.client` costs
0.06 s of CPU to import, more than the whole check.

`... probes.http apiserver URL` wants the api-server to have reached its database; `... probes.http flower URL` logs in
and lets Flower ask the broker for its queue lengths, because its own health page answers always.
"""

import binascii
import json
import os
import socket
import sys
import time

TIMEOUT = 8.0


def get_json(base: str, path: str, deadline: float, *headers: str) -> dict:
    """Return the JSON behind `path`, as `get_text` does."""
    return json.loads(get_text(base, path, deadline, *headers))


def get_text(base: str, path: str, deadline: float, *headers: str) -> bytes:
    """Return what is behind `path` of `http://host:port`; `deadline` is of `time.monotonic`.

    Raises OSError or ValueError on no, a wrong or a late answer.
    """
    authority = base.removeprefix("http://")
    host, _, port = authority.rpartition(":")
    # HTTP/1.0 closes after the body, so there is nothing to parse but the status line.
    request = "\r\n".join((f"GET {path} HTTP/1.0", f"Host: {authority}", *headers, "", ""))
    with socket.create_connection((host.strip("[]"), int(port)), timeout=left(deadline)) as connection:
        connection.sendall(request.encode())
        head, _, body = read_all(connection, deadline).partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    if status != [b"200"]:
        raise ConnectionError(f"{path} answers {status[0].decode() if status else 'nothing'}")
    return body


def read_all(connection: socket.socket, deadline: float) -> bytes:
    """Return everything until the other side closes. Raises TimeoutError at `deadline`, however it drips."""
    received = bytearray()
    while chunk := connection.recv(65536):
        received += chunk
        connection.settimeout(left(deadline))
    return bytes(received)


def left(deadline: float) -> float:
    """Return the seconds until `deadline`, a little where it has passed: a timeout of 0 would mean not to wait."""
    return max(0.001, deadline - time.monotonic())


def check_apiserver(base: str, deadline: float) -> None:
    """Raise ConnectionError unless the api-server reaches the metadata database and its task side, built late, is there."""
    get_json(base, "/execution/health", deadline)
    health = get_json(base, "/api/v2/monitor/health", deadline)
    state = health["metadatabase"]["status"]
    if state != "healthy":
        raise ConnectionError(f"metadata database is {state}")


def check_flower(base: str, deadline: float) -> None:
    """Raise ConnectionError unless Flower accepts its login and reads the broker."""
    lengths = get_json(base, "/api/queues/length", deadline, login())
    if "active_queues" not in lengths:
        raise ConnectionError(f"Flower knows no queues: {lengths}")


def login() -> str:
    """Return the header of Flower's login, from `KIT_FLOWER_USER` and `KIT_FLOWER_PASSWORD_FILE`."""
    with open(os.environ["KIT_FLOWER_PASSWORD_FILE"]) as file:
        pair = f"{os.environ['KIT_FLOWER_USER']}:{file.read().strip()}".encode()
    return f"Authorization: Basic {binascii.b2a_base64(pair, newline=False).decode()}"


CHECKS = {"apiserver": check_apiserver, "flower": check_flower}


def main(arguments: list[str]) -> int:
    """Return 0 when the named check passes, 1 with the reason otherwise."""
    kind, base = arguments
    try:
        CHECKS[kind](base, time.monotonic() + TIMEOUT)
    except (OSError, ValueError, KeyError, TypeError) as problem:
        print(f"{kind}: {problem}")  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
