"""Runs in: airflow-apiserver; lets whoever has the scrape token read the metrics, and nothing else.

Airflow's logins end after a day and belong to people; Prometheus reads one file for ever. The token stands for no user: every other path
asks for a login, and so does this one without it.
"""

import hmac
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import get_route_path
from starlette.types import ASGIApp, Receive, Scope, Send

TOKEN_FILE = "KIT_METRICS_TOKEN_FILE"  # noqa: S105
PATH = "/metrics"


def token_in(path: str | None) -> bytes:
    """Return the token that a file holds, nothing where no file is named. Raises OSError when it cannot be read."""
    return Path(path).read_bytes().strip() if path else b""


class Scrape:
    """An ASGI layer around all routes; `metrics` returns the text for Prometheus."""

    def __init__(self, app: ASGIApp, token: bytes, metrics: Callable[[], bytes]) -> None:
        self.app, self.metrics = app, metrics
        self.expected = b"Bearer " + token if token else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a scrape, or pass a request on."""
        if not self.is_scrape(scope):
            return await self.app(scope, receive, send)
        text = await run_in_threadpool(self.metrics)
        await Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)(scope, receive, send)

    def is_scrape(self, scope: Scope) -> bool:
        """Return whether a request asks for the metrics with the token."""
        if scope["type"] != "http" or not self.expected or scope["method"] != "GET" or get_route_path(scope) != PATH:
            return False
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        return len(given) == 1 and hmac.compare_digest(given[0], self.expected)
