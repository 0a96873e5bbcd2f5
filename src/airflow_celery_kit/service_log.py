"""Runs in: airflow-controller, each worker's guard and the start of each Airflow process; in which form services log, and the kit's own lines.

`KIT_LOG_JSON` is `true`, `false`, or `auto`, which finds out who takes what is written (docs/adr/0027).
"""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any, TextIO

from airflow_celery_kit import instance

# Where these stand in the environment, an agent of the cluster collects what containers write.
COLLECTED = frozenset({"KUBERNETES_SERVICE_HOST", "ECS_CONTAINER_METADATA_URI_V4"})
STDERR = 2
PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
# Facts that other programs know by these names; all others begin with KIT_, so that none is taken for one of journald's own.
SHARED = frozenset({"dag_id", "run_id", "task_id"})
MOST_OF_A_NAME = 64


class Form(StrEnum):
    """How lines are written: for people, an object of JSON each, or as fields to systemd's journal."""

    PLAIN = "plain"
    JSON = "json"
    JOURNALD = "journald"


def form(environment: Mapping[str, str], stream: int = STDERR) -> Form:
    """Return the form that this process logs in. `stream` is the file descriptor that the journal may listen on."""
    said = environment.get("KIT_LOG_JSON", "auto")
    if said in ("true", "false"):
        return Form.JSON if said == "true" else Form.PLAIN
    if is_journal(environment.get("JOURNAL_STREAM", ""), stream):
        return Form.JOURNALD
    return Form.JSON if COLLECTED & set(environment) else Form.PLAIN


def is_journal(named: str, stream: int) -> bool:
    """Return whether a descriptor is the stream that systemd names: `device:inode`. A child whose output goes elsewhere inherits the name."""
    try:
        device, inode = map(int, named.split(":"))
        found = os.fstat(stream)
    except (ValueError, OSError):
        return False
    return (found.st_dev, found.st_ino) == (device, inode)


def for_airflow(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what has an Airflow service log in that form. Airflow writes no fields for the journal, which takes its plain lines."""
    return {"AIRFLOW__LOGGING__JSON_LOGS": str(form(environment) == Form.JSON)}


def write(
    who: str, event: str, facts: Mapping[str, Any], plain: Callable[[str], str] | None = None, to: TextIO | None = None
) -> None:
    """Write one line of a service of the kit's: `who` it is, what happened, and what belongs to that; `facts["level"]` is a word of PRIORITIES.

    `plain` makes the line for people of a time, without it that is JSON too; `to` is where lines go, stdout where none is given.
    """
    found = form(os.environ)
    if found == Form.JOURNALD and sent(fields(who, event, facts)):
        return
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = (
        plain(at)
        if plain and found != Form.JSON
        else json.dumps({"at": at, "event": event, who: instance.name(), **facts})
    )
    # In one piece: two threads speak.
    print(f"{line}\n", end="", flush=True, file=to or sys.stdout)


def fields(who: str, event: str, facts: Mapping[str, Any]) -> list[tuple[str, str | int]]:
    """Return a line as fields of the journal."""
    words = [event, *(f"{name}={_text(value)}" for name, value in facts.items() if name != "level")]
    level = str(facts.get("level", "info"))
    named = [(_name(name), _text(value)) for name, value in facts.items()]
    return [
        ("MESSAGE", " ".join(words)), ("PRIORITY", PRIORITIES.get(level, PRIORITIES["info"])), ("SYSLOG_IDENTIFIER", f"airflow-celery-kit-{who}"),
        ("SYSLOG_PID", os.getpid()), ("KIT_INSTANCE", instance.name()), ("KIT_EVENT", event), *named,
    ]  # fmt: skip


def sent(pairs: list[tuple[str, str | int]]) -> bool:
    """Send fields to the journal; return whether it took them."""
    try:
        _journal().send(pairs)
    except OSError:
        return False
    return True


@cache
def _journal() -> Any:
    from logging_journald import JournaldTransport

    # A journal that is started anew has another socket.
    return JournaldTransport(connected=False)


def _name(fact: str) -> str:
    """Return a fact's name as the journal takes it: capital letters, digits, underscores."""
    name = re.sub("[^A-Z0-9_]", "_", fact.upper())
    return (name if fact in SHARED else f"KIT_{name}")[:MOST_OF_A_NAME]


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text.encode(errors="backslashreplace").decode()
