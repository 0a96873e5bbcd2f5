"""Runs in: airflow-apiserver; keeps the files of Airflow's UI as they were compressed for the first browser that asked.

Airflow compresses its UI anew for each browser that has not seen it: two megabytes, which takes more than half a second of a core, and so does
whatever else is asked meanwhile. The names of these files hold a hash of what is in them, so an answer stays right.
"""

from dataclasses import dataclass, field
from typing import Any

FOLDER = "/static/assets/"
# All of Airflow's UI is a fraction of this.
MOST_BYTES = 32 * 1024 * 1024

Message = dict[str, Any]


@dataclass
class Assets:
    """What was answered, by path. An ASGI layer calls `handle` in place of the application."""

    kept: dict[str, list[Message]] = field(default_factory=dict)
    size: int = 0

    async def handle(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Answer from what is kept, or pass on and keep what was answered."""
        if not wanted(scope):
            return await app(scope, receive, send)
        if messages := self.kept.get(scope["path"]):
            for message in messages:
                await send(message)
            return None
        seen: list[Message] = []

        async def note(message: Message) -> None:
            seen.append(message)
            await send(message)

        await app(scope, receive, note)
        self.keep(scope["path"], seen)
        return None

    def keep(self, path: str, messages: list[Message]) -> None:
        """Keep a whole, compressed answer."""
        size = sum(len(message.get("body", b"")) for message in messages)
        if is_whole(messages) and self.size + size <= MOST_BYTES:
            self.kept[path] = messages
            self.size += size


def wanted(scope: Any) -> bool:
    """Return whether a request is a plain one for a whole file, compressed."""
    if scope["type"] != "http" or scope["method"] != "GET" or FOLDER not in scope["path"]:
        return False
    headers = dict(scope["headers"])
    return (
        b"gzip" in headers.get(b"accept-encoding", b"")
        and not {b"range", b"if-none-match", b"if-modified-since"} & headers.keys()
    )


def is_whole(messages: list[Message]) -> bool:
    """Return whether an answer is a compressed file, to its end."""
    if not messages or messages[0].get("status") != 200:
        return False
    return dict(messages[0]["headers"]).get(b"content-encoding") == b"gzip" and not messages[-1].get("more_body")
