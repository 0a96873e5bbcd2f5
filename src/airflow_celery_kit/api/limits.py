"""Runs in: airflow-apiserver; what no route is to see: bodies that are too large, and text that no database takes."""

import re
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airflow_celery_kit.api.problems import answer

MOST_BYTES = 1 << 20
TOO_LARGE = f"the body has more than {MOST_BYTES >> 20} MiB"
NO_TEXT = "there is a character in it that no database takes: NUL, or half of a pair"
UNFIT = re.compile("[\0\ud800-\udfff]")
# What reads it later goes a level deeper into itself with each of its levels.
MOST_DEEP = 100
TOO_DEEP = f"it is nested more than {MOST_DEEP} levels deep"


class TooLargeError(Exception):
    """A body goes on after MOST_BYTES."""


class Limits:
    """An ASGI layer around all routes."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request, or refuse it before anything has been done."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if flaw(scope["path"]) or b"\0" in unquote_to_bytes(scope["query_string"]):
            return await answer(422, NO_TEXT)(scope, receive, send)
        try:
            body = await whole(receive)
        except TooLargeError:
            return await answer(413, TOO_LARGE)(scope, receive, send)
        await self.app(scope, once(body, receive), send)


async def whole(receive: Receive) -> bytes:
    """Return the body of a request. Raises TooLargeError, having read no more of it than that takes."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MOST_BYTES:
            raise TooLargeError
    return body


def once(body: bytes, receive: Receive) -> Receive:
    """Return what gives out a body that was read already, and then whatever comes."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return left.pop() if left else await receive()

    return again


def flaw(value: Any) -> str:
    """Return what keeps a value of JSON from being written to a database, nothing where nothing does."""
    left = [(value, 0)]
    while left:
        one, depth = left.pop()
        if depth > MOST_DEEP:
            return TOO_DEEP
        if isinstance(one, str) and UNFIT.search(one):
            return NO_TEXT
        if isinstance(one, dict):
            left += [(part, depth + 1) for pair in one.items() for part in pair]
        elif isinstance(one, list):
            left += [(part, depth + 1) for part in one]
    return ""
