"""Runs in: airflow-apiserver; paints the page's title and numbers while the browser still fetches and compiles Airflow's UI.

Airflow answers every address of its UI with the same nearly empty document, whose seven megabytes of JavaScript paint nothing before they
are compiled. React puts its own content in the place of what stands there.
"""

from typing import Any

PATH = "/plugin/kit"
EMPTY = b'<div id="root" style="height: 100%"></div>'


class FirstPaint:
    """An ASGI layer that fills the document of the kit's page; every other answer passes as it is."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        ours = scope["type"] == "http" and scope["method"] == "GET" and scope["path"].endswith(PATH)
        await self.app(scope, receive, Filling(send) if ours else send)


class Filling:
    """Sends an answer on, with content where its document has none. Only a document that comes in one piece is looked into."""

    def __init__(self, send: Any) -> None:
        self.send = send
        self.start: Any = None

    async def __call__(self, message: Any) -> None:
        """Hold the head of the answer until its body is there, whose length it tells."""
        if message["type"] == "http.response.start":
            self.start = message
            return
        if self.start:
            start, self.start = self.start, None
            body = message.get("body", b"")
            if not message.get("more_body") and EMPTY in body:
                message = {**message, "body": body.replace(EMPTY, _filled())}
                start = {
                    **start,
                    "headers": [*_without_length(start), (b"content-length", str(len(message["body"])).encode())],
                }
            await self.send(start)
        await self.send(message)


def _filled() -> bytes:
    from importlib.resources import files

    return files("airflow_celery_kit.api").joinpath("console", "first.html").read_bytes().strip()


def _without_length(start: Any) -> list[Any]:
    return [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
