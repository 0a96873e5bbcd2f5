"""Runs in: airflow-apiserver; compresses the files of Airflow's UI for the first browser that asks, and keeps them so.

Airflow compresses its UI anew for each browser that has not seen it: two megabytes, which takes more than half a second of a core, and so does
whatever else is asked meanwhile. The names of these files hold a hash of what is in them, so an answer stays right. Airflow's own compression,
which stands before this layer, passes on what is compressed already.
"""

import asyncio
import gzip
from dataclasses import dataclass, field
from typing import Any

FOLDER = "/static/assets/"
TEXTS = (b"text/", b"application/json", b"image/svg")
# Smaller ones, and how hard it tries, are Airflow's own.
LEAST_BYTES, LEVEL = 1024, 5
# All of Airflow's UI is a fraction of this.
MOST_BYTES = 32 * 1024 * 1024
OWN = (b"content-length", b"content-encoding")

Message = dict[str, Any]


@dataclass
class Assets:
    """What was answered, by path. An ASGI layer calls `handle` in place of the application."""

    kept: dict[str, list[Message]] = field(default_factory=dict)
    size: int = 0

    async def handle(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Answer from what is kept, or pass on, and compress and keep what is answered."""
        if not wanted(scope):
            return await app(scope, receive, send)
        messages = self.kept.get(scope["path"]) or await self._asked(app, scope, receive)
        for message in messages:
            await send(message)
        return None

    async def _asked(self, app: Any, scope: Any, receive: Any) -> list[Message]:
        seen: list[Message] = []

        async def note(message: Message) -> None:
            seen.append(message)

        await app(scope, receive, note)
        body = b"".join(message.get("body", b"") for message in seen[1:])
        if not is_text(seen[0], body):
            return seen
        answer = compressed(seen[0], await asyncio.to_thread(gzip.compress, body, LEVEL))
        if self.size + len(body) <= MOST_BYTES:
            self.kept[scope["path"]] = answer
            self.size += len(answer[1]["body"])
        return answer


def wanted(scope: Any) -> bool:
    """Return whether a request is a plain one for a whole file, compressed."""
    if scope["type"] != "http" or scope["method"] != "GET" or FOLDER not in scope["path"]:
        return False
    headers = dict(scope["headers"])
    conditions = {b"range", b"if-none-match", b"if-modified-since"}
    return b"gzip" in headers.get(b"accept-encoding", b"") and not conditions & headers.keys()


def is_text(start: Message, body: bytes) -> bool:
    """Return whether an answer is a file that compressing makes smaller."""
    headers = dict(start.get("headers", ()))
    text = headers.get(b"content-type", b"").startswith(TEXTS) and b"content-encoding" not in headers
    return bool(start.get("status") == 200 and text and len(body) >= LEAST_BYTES)


def compressed(start: Message, body: bytes) -> list[Message]:
    """Return the answer with another body, which is compressed."""
    headers = [(name, value) for name, value in start["headers"] if name not in OWN]
    headers += [
        (b"content-encoding", b"gzip"),
        (b"content-length", str(len(body)).encode()),
        (b"vary", b"Accept-Encoding"),
    ]
    return [{**start, "headers": headers}, {"type": "http.response.body", "body": body}]
