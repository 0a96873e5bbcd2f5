"""Runs in: every process of Airflow, used in airflow-apiserver alone; stands in for the kit's REST API until it is asked.

Airflow loads plugins in workers and task processes too, which must not pay for FastAPI.
"""

from typing import Any


class Lazy:
    """An ASGI application that builds the real one at its first request."""

    def __init__(self) -> None:
        self.app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request. The application that this one is mounted in stands in `scope`; it has the login manager."""
        if self.app is None:
            from airflow_celery_kit.api.app import build

            self.app = build(scope["app"].state.auth_manager)
        await self.app(scope, receive, send)
