"""Runs in: airflow-apiserver; what no route is to see: bodies that are too large, and text that no database takes."""

from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airflow_celery_kit.api.problems import answer

MOST_BYTES = 1 << 20
TOO_LARGE = f"the body has more than {MOST_BYTES >> 20} MiB"
NO_TEXT = "there is a character in it that no database takes: NUL, or half of a pair"


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
        if not is_text(scope["path"]) or b"\0" in unquote_to_bytes(scope["query_string"]):
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


def is_text(value: Any) -> bool:
    """Return whether every text in a value of JSON can be written to a database."""
    if isinstance(value, str):
        return not any(one == "\0" or "\ud800" <= one <= "\udfff" for one in value)
    if isinstance(value, dict):
        return all(is_text(name) and is_text(one) for name, one in value.items())
    return not isinstance(value, list) or all(map(is_text, value))
