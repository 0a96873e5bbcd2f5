"""Runs in: task processes, imported by Dags; sections of a task that are tried again, may fail, or may kill what runs them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import tenacity

from airflow_celery_kit.core.journal.events import Kind
from airflow_celery_kit.task import context

log = logging.getLogger(__name__)

POISON = "kit:poison:"


class PoisonError(Exception):
    """A section was begun again and again and never came to its end; whoever ran it was killed."""


def retry(
    times: int = 3, wait: float = 1.0, longest: float = 60.0, on: type[Exception] = Exception
) -> tenacity.Retrying:
    """Try a section up to so many times, after `wait` seconds, then twice as many, `longest` at most; the last error is raised.

    `for attempt in retry(5, on=ConnectionError): with attempt: ...`. Raises ValueError where it would be tried without end, or never.
    """
    if times < 1 or wait < 0:
        raise ValueError(f"retry({times}, {wait}): a section is tried once or more, and waits for no less than no time")
    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(times),
        wait=tenacity.wait_exponential(multiplier=wait, max=longest),
        retry=tenacity.retry_if_exception_type(on),
        before_sleep=_tell_of_another_try,
        reraise=True,
    )


def _tell_of_another_try(state: tenacity.RetryCallState) -> None:
    problem = state.outcome.exception() if state.outcome else None
    log.warning("try %d failed, another one follows: %s", state.attempt_number, problem)
    context.say(Kind.TRIED_AGAIN, {"number": state.attempt_number, "because": f"{type(problem).__name__}: {problem}"})


@contextmanager
def optional(part: str) -> Iterator[None]:
    """Let a section fail without its task: its error is logged and on record, and what comes after it runs."""
    try:
        yield
    except Exception as problem:
        log.warning("%s is left out: %s", part, problem, exc_info=True)
        context.say(Kind.LEFT_OUT, {"part": part, "because": f"{type(problem).__name__}: {problem}"})


@contextmanager
def poisonous(part: str, times: int = 3) -> Iterator[None]:
    """Run a section that may kill its process; when it has done so `times` times, the task fails for good instead of killing once more.

    Each beginning is kept in Airflow's store of the task's state, and taken back when the section has come to an end of any kind. Raises
    AirflowFailException, which no retry follows, from PoisonError. The task stays on record, and can be retried by hand with `times` more.
    """
    store = context.store()
    if store is None:
        yield
        return
    key = f"{POISON}{part}"
    begun = int(store.get(key) or 0)
    if begun >= times:
        store.delete(key)
        _refuse(part, begun)
    store.set(key, begun + 1)
    try:
        yield
    finally:
        store.delete(key)


def _refuse(part: str, begun: int) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    problem = PoisonError(f"{part} was begun {begun} times and killed what ran it each time")
    context.say(Kind.POISONOUS, {"part": part, "begun": begun})
    raise AirflowFailException(f"{problem}: it is not run again by itself, 'kit tasks retry' does") from problem
