"""Runs in: every process of Airflow, used in airflow-apiserver alone; sees it start, and builds the REST API of the kit when that is asked.

Airflow loads plugins in workers and task processes too, which must not pay for FastAPI.
"""

from typing import Any

from airflow_celery_kit import patching, stack


class Lazy:
    """An ASGI application that builds the real one at its first request."""

    def __init__(self) -> None:
        self.app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request. The application that this one is mounted in stands in `scope`; it has the login manager and the Dags."""
        if self.app is None:
            from airflow_celery_kit.api.app import build

            state = scope["app"].state
            self.app = build(state.auth_manager, state.dag_bag)
        await self.app(scope, receive, send)


class AtStart:
    """An ASGI layer that changes the api-server of the kit's stacks when it starts; everything passes through it."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass on one request, or the word that the server starts."""
        if scope["type"] == "lifespan" and stack.is_whole():
            patching.attempt((_pass_on, _spare_threads, _mark, _tell))
        await self.app(scope, receive, send)


def _pass_on() -> None:
    from airflow_celery_kit.api import layers

    layers.install()


def _spare_threads() -> None:
    from airflow_celery_kit.api import threads

    threads.install()


def _mark() -> None:
    from airflow_celery_kit.api import by_hand

    by_hand.install()


def _tell() -> None:
    from airflow_celery_kit import service_report

    service_report.tell("airflow-apiserver")
