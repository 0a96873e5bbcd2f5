"""Runs in: airflow-apiserver; what a request does without handing it to a thread.

FastAPI calls in a thread what is no coroutine, twice for a database session: to make it and to leave it. Cadwyn, which versions the
calls of tasks, asks for everything a second time. Of the six to eight times that a task's call goes to a thread and back, all but
two only make a session, close one that nobody used, or return a value. Text of the reports: ADR 0016.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from airflow_celery_kit import patching

WRITTEN_AGAINST = {
    "fastapi.dependencies.utils": {"_solve_generator": "6c56fb5b6616", "solve_dependencies": "06cf9dbaa652"},
    "airflow.api_fastapi.common.db.common": {"_get_session": "14bd8ac59b6b"},
    "airflow.api_fastapi.common.dagbag": {"dag_bag_from_app": "d380abfb3f9a"},
    "airflow.utils.session": {"create_session": "fefd2633225e"},
    "cadwyn.middleware": {"_generate_api_version_dependency": "953760e04abc"},
}
API_VERSION = "_generate_api_version_dependency.<locals>.api_version_dependency"


def install() -> None:
    """Make the changes in this process."""
    from airflow.api_fastapi.common.dagbag import dag_bag_from_app
    from airflow.api_fastapi.common.db.common import _get_session
    from fastapi.dependencies import utils

    if not patching.fit("answering with fewer threads", WRITTEN_AGAINST):
        return
    utils._solve_generator = solver(_get_session, utils._solve_generator)
    utils.run_in_threadpool = caller(dag_bag_from_app, utils.run_in_threadpool)


def origin(call: Any) -> Any:
    """Return the function behind a callable of Cadwyn's, which has one of its own for each version of a call."""
    while hasattr(call, "_original_callable"):
        call = call._original_callable
    return call


def solver(sessions: Callable[..., Any], stock: Callable[..., Any]) -> Callable[..., Any]:
    """Return what solves a dependency that is a generator; `sessions` is the one that gives database sessions."""

    async def solve(*, dependant: Any, stack: AsyncExitStack, sub_values: dict[str, Any]) -> Any:
        if origin(dependant.call) is sessions:
            return await stack.enter_async_context(session())
        return await stock(dependant=dependant, stack=stack, sub_values=sub_values)

    return solve


@asynccontextmanager
async def session() -> AsyncIterator[Any]:
    """Give a database session as Airflow does. Making one asks nobody; its end is left to a thread if it was used."""
    from airflow.utils.session import create_session

    scope = create_session(scoped=False)
    made = scope.__enter__()
    try:
        yield made
    except Exception as problem:
        if not await leave(made, scope, type(problem), problem, problem.__traceback__):
            raise
    except BaseException:
        with suppress(Exception):
            made.close()
        raise
    else:
        await leave(made, scope, None, None, None)


async def leave(made: Any, scope: Any, *problem: Any) -> bool:
    """Commit or roll back, and close. As in FastAPI, no thread that waits for a connection keeps others from giving theirs back."""
    from anyio import CapacityLimiter, to_thread

    if not made.in_transaction():
        return bool(scope.__exit__(*problem))
    return bool(await to_thread.run_sync(scope.__exit__, *problem, limiter=CapacityLimiter(1)))


def caller(dag_bag: Callable[..., Any], stock: Callable[..., Any]) -> Callable[..., Any]:
    """Return what calls a dependency that is no coroutine: at once where it only returns a value."""

    async def call(function: Any, *arguments: Any, **named: Any) -> Any:
        if origin(function) is dag_bag or getattr(function, "__qualname__", "") == API_VERSION:
            return function(*arguments, **named)
        return await stock(function, *arguments, **named)

    return call
