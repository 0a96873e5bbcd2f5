"""Runs in: airflow-apiserver; layers around each request that have nothing to do for most of them.

Starlette's `BaseHTTPMiddleware` runs what it wraps in a task of its own and passes each answer on through a stream. There are four
around a call of a task: to renew the login in a cookie, where tasks send none; to renew a task's token, which is needed in the last
fifth of its life; and two that copy a header, one of which Cadwyn chooses the version of a call by. Text of the report: ADR 0016.
"""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

from airflow_celery_kit import patching

WRITTEN_AGAINST = {
    "airflow.api_fastapi.auth.middlewares.refresh_token": {"JWTRefreshMiddleware": "61e5ce4295a3"},
    "airflow.api_fastapi.execution_api.app": {
        "CorrelationIdMiddleware": "ceb1fb9c1620",
        "JWTReissueMiddleware": "95bfac961554",
    },
}
CADWYN = {"cadwyn.middleware": {"VersionPickingMiddleware": "42d606b84003"}}
CORRELATION = b"correlation-id"
# Airflow renews a token in the last fifth of its life, the last half minute at least; a little before, the decision is left to it.
RENEWED_SHARE, RENEWED_SECONDS, EARLIER_SECONDS = 0.20, 30, 60

Call = Callable[..., Any]


def install() -> None:
    """Have this process's layers stand aside where they have nothing to do."""
    if patching.fit("passing requests on", WRITTEN_AGAINST):
        stand_aside()
    if patching.fit("choosing versions in passing", CADWYN):
        choose_in_passing()


def stand_aside() -> None:
    """Change Airflow's three layers."""
    from airflow.api_fastapi.auth.middlewares.refresh_token import JWTRefreshMiddleware
    from airflow.api_fastapi.execution_api.app import CorrelationIdMiddleware, JWTReissueMiddleware

    JWTRefreshMiddleware.__call__ = unless(has_no_cookie, JWTRefreshMiddleware.__call__)
    JWTReissueMiddleware.__call__ = unless(has_a_fresh_token, JWTReissueMiddleware.__call__)
    CorrelationIdMiddleware.__call__ = correlated


def choose_in_passing() -> None:
    """Change Cadwyn's."""
    from cadwyn.middleware import VersionPickingMiddleware

    VersionPickingMiddleware.__call__ = versioned(VersionPickingMiddleware.__call__, VersionPickingMiddleware.dispatch)


def unless(idle: Callable[[Any], bool], stock: Call) -> Call:
    """Return a layer's call that passes a request on, instead of `stock`, where `idle` says that it has nothing to do."""

    async def call(self: Any, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and idle(scope):
            await self.app(scope, receive, send)
        else:
            await stock(self, scope, receive, send)

    return call


def header(scope: Any, name: bytes) -> bytes:
    """Return a header of a request, nothing where there is none."""
    found: bytes = next((value for known, value in scope["headers"] if known == name), b"")
    return found


def has_no_cookie(scope: Any) -> bool:
    """Return whether no login can stand in a cookie."""
    return not header(scope, b"cookie")


def has_a_fresh_token(scope: Any) -> bool:
    """Return whether a token is not to be renewed yet. Whether it is a good one is for the route to decide, as ever."""
    kind, _, token = header(scope, b"authorization").partition(b" ")
    if kind.lower() != b"bearer":
        return True
    try:
        payload = token.split(b".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
        left, life = claims["exp"] - time.time(), claims["exp"] - claims["iat"]
    except Exception:  # Whatever a stranger sends, Airflow decides.
        return False
    return bool(left > max(life * RENEWED_SHARE, RENEWED_SECONDS) + EARLIER_SECONDS)


def naming(send: Call, name: str, value: str) -> Call:
    """Return what sends an answer with one header more."""
    from starlette.datastructures import MutableHeaders

    async def answer(message: Any) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)[name] = value
        await send(message)

    return answer


async def correlated(self: Any, scope: Any, receive: Any, send: Any) -> None:
    """Name a request in the log as its sender does, and answer with the same name."""
    from structlog.contextvars import bound_contextvars

    name = header(scope, CORRELATION).decode("latin-1") if scope["type"] == "http" else ""
    if not name:
        return await self.app(scope, receive, send)
    with bound_contextvars(correlation_id=name):
        await self.app(scope, receive, naming(send, CORRELATION.decode(), name))


def versioned(stock: Call, dispatch: Call) -> Call:
    """Return a layer's call that answers in the version that a request names.

    `stock` answers one that names none, and where another `dispatch` decides.
    """
    from starlette.requests import Request

    async def call(self: Any, scope: Any, receive: Any, send: Any) -> None:
        own = getattr(self.dispatch_func, "__func__", None) is dispatch
        version = self._api_version_manager.get(Request(scope)) if own and scope["type"] == "http" else None
        if version is None:
            return await stock(self, scope, receive, send)
        self.api_version_var.set(version)
        await self.app(scope, receive, naming(send, self.api_version_parameter_name, version))

    return call
