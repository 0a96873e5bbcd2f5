"""Runs in: task processes, imported by Dags; work that is done once for each key, whoever asks for it again, and when.

The key is hashed with the names of Dag and task, so that two tasks never share one. Keys and results are kept as long as the journal
keeps what has ended (JOURNAL_DAYS).
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from os import environ
from typing import Any, TypeVar

import psycopg2

from airflow_celery_kit.core.journal.events import Kind
from airflow_celery_kit.journal.keys import Keys
from airflow_celery_kit.journal.teller import ADDRESS, is_wanted
from airflow_celery_kit.task import context
from airflow_celery_kit.task.limits import size_of

log = logging.getLogger(__name__)

T = TypeVar("T")
LOOK_SECONDS = 1.0


class TakenError(Exception):
    """Another attempt is still at the work of a key."""


def deduplicate(key: Any, work: Callable[[], T], wait: float = 600.0) -> T:
    """Return what `work()` returns, or, where it was done before for this key, what it returned then.

    `key` is anything that JSON can hold: what the work depends on. While another attempt is at it, this one waits up to `wait` seconds;
    where that one fails or dies, this one does the work. Work that raises leaves no result.
    Raises TakenError when it has waited in vain, ValueError for a key or result that is no JSON or too long, RuntimeError where no journal
    is kept. Outside of a running task the work is just done.
    """
    written, who = _written(key), context.subject()
    if who is None:
        return work()
    if not is_wanted(environ):
        raise RuntimeError(
            "deduplicate needs the journal, which is off here: set JOURNAL=on, or KIT_JOURNAL_CONN in an Airflow of your own"
        )
    keys, holder = Keys(environ[ADDRESS]), str(who.task)
    name = hashlib.sha256(f"{who.dag_id}\0{who.task_id}\0{written}".encode()).hexdigest()
    found = _taken(keys, name, holder, wait)
    if found["is"] == "done":
        log.info("this was done before, by attempt %s: its result is taken", found["by"])
        context.say(Kind.DEDUPLICATED, {"key": name, "by": found["by"]})
        return found["result"]  # type: ignore[no-any-return]
    return _done(keys, name, holder, work)


def _written(key: Any) -> str:
    try:
        return json.dumps(key, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as problem:
        raise ValueError(f"a key is what JSON can hold: {problem}") from problem


def _taken(keys: Keys, name: str, holder: str, wait: float) -> dict[str, Any]:
    """Return the answer for a key that is free or done, once it is. Raises TakenError."""
    until, said = time.monotonic() + wait, ""
    while (found := keys.take(name, holder))["is"] == "taken":
        if found["by"] != said:
            said = found["by"]
            log.info("attempt %s is at this: waiting for it for up to %.0f s", said, wait)
        if time.monotonic() >= until:
            raise TakenError(f"attempt {said} is still at this after {wait:.0f} s: see 'kit tasks show {said}'")
        time.sleep(LOOK_SECONDS)
    return found


def _done(keys: Keys, name: str, holder: str, work: Callable[[], T]) -> T:
    try:
        result = work()
        size_of(result, "deduplicate")
    except BaseException:
        # What went wrong counts; a key that cannot be given back is free once this attempt is over.
        with suppress(psycopg2.Error):
            keys.release(name, holder)
        raise
    if not keys.finish(name, holder, result):
        log.warning("another attempt took this over meanwhile: its result counts from now on")
    # As the next one gets it.
    return json.loads(json.dumps(result))  # type: ignore[no-any-return]
