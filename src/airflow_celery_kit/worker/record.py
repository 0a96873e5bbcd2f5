"""Runs in: Celery workers; writes to the journal what becomes of each message, and carries events on."""

import signal
from collections.abc import Mapping
from os import environ
from types import MappingProxyType
from typing import Any

from celery.signals import worker_ready

from airflow_celery_kit.core.journal.events import Kind, Source, Subject
from airflow_celery_kit.journal.forwarder import Forwarder, SpoolSupply
from airflow_celery_kit.journal.sink import Sink
from airflow_celery_kit.journal.teller import ADDRESS, teller
from airflow_celery_kit.scheduler.router import SUBJECT
from airflow_celery_kit.worker import deadline, leaving

# Celery's words for what a worker does with a message, and the journal's.
KINDS = {
    "task-started": Kind.STARTED,
    "task-succeeded": Kind.SUCCEEDED,
    "task-failed": Kind.FAILED,
    "task-revoked": Kind.REVOKED,
    "task-rejected": Kind.REVOKED,
}


def tell(kind: Kind, headers: Mapping[str, Any], facts: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Keep what happened to a message; one that says of no task whose it is has no record."""
    if found := headers.get(SUBJECT):
        teller(Source.WORKER).tell(kind, Subject(**found, message=headers.get("id")), facts)


# Signals that kill a process without a word of its own. Those that ask it to leave are a supervisor's or an operator's.
KILLERS = {signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE}


def death(error: str) -> dict[str, Any]:
    """Return the facts of a death; one on the worker's way out is marked, because the task is not to blame for it (journal.killers)."""
    return {"error": error} | ({"leaving": True} if leaving.has_begun() else {})


def tell_of_death(supervisor: Any) -> None:
    """Keep that a task's process ended without a word: killed by the kernel for its memory, crashed, or ended by its timeout's watch.

    What Airflow's supervisor itself has killed, because it was told to or could not reach the api-server, is none.
    """
    code, timeout = supervisor._exit_code, deadline.missed(supervisor.pid)
    if not code or supervisor._terminal_state or supervisor.failed_heartbeats:
        return
    subject = Subject(task=str(supervisor.id))
    if -code in KILLERS:
        teller(Source.WORKER).tell(Kind.LOST, subject, death(f"its process was killed by {signal.Signals(-code).name}"))
    elif timeout:
        error = f"it did not heed its timeout of {timeout:g} s and its process was ended: its log says where it stood"
        teller(Source.WORKER).tell(Kind.TIMED_OUT, subject, {"error": error})
    elif code > 0:
        error = f"its process ended with exit code {code} and no word: its log is all that there is"
        teller(Source.WORKER).tell(Kind.ERROR, subject, {"error": error})


FORWARDERS: list[Forwarder] = []


def install() -> None:
    """Carry on what this worker and its tasks say, where a journal is kept, once its pool is there."""
    spool = teller(Source.WORKER).spool
    if spool is None:
        return
    forwarder = Forwarder(Sink(environ[ADDRESS]), (SpoolSupply(spool),))
    FORWARDERS.append(forwarder)
    worker_ready.connect(lambda **_: forwarder.start(), weak=False)


def leave() -> None:
    """Carry on the last of it; what the database does not take in a moment stays for the next worker."""
    for forwarder in FORWARDERS:
        forwarder.leave()
