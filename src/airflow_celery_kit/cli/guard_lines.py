"""Runs in: your shell; what people see of limits and breakers."""

from typing import Any

from rich.table import Table
from rich.text import Text

from airflow_celery_kit.cli.record_lines import plain_table, short
from airflow_celery_kit.cli.visible import cell, visible
from airflow_celery_kit.core.words import count, missing

COLOURS = {"closed": "green", "open": "red", "half-open": "yellow"}


def limit_table(found: list[dict[str, Any]]) -> Table:
    """Return limits as a table, a line for each of their tokens."""
    table = plain_table("limit", "of", "in use", "waiting", "rate", "")
    for one in found:
        for token in one["tokens"] or [{"token": "", "taken": 0, "waiting": 0}]:
            used = f"{token['taken']} of {one['slots']}" if one["slots"] is not None else str(token["taken"])
            cells = (one["name"], token["token"], used, str(token["waiting"]), rate_of(one), remark(one))
            table.add_row(*map(cell, cells))
    return table


def rate_of(one: dict[str, Any]) -> str:
    """Return a limit's rate."""
    if not one["rate"]:
        return ""
    unit = {1: "s", 60: "m", 3600: "h", 86400: "d"}.get(one["period"], f"{one['period']} s")
    return f"{one['rate']}/{unit}" + (" a worker" if one["per_worker"] else "")


def remark(one: dict[str, Any]) -> str:
    """Return what is to be said of a limit."""
    if one["suspended"]:
        return f"suspended by {one['suspended']['who']}: {one['suspended']['reason']}"
    return one["problem"] or ""


def limit_notes(found: dict[str, Any]) -> list[str]:
    """Return what is wrong with limits."""
    notes = [f"A Dag names the limit {name}, which nobody defines: it limits nothing." for name in found["unknown"]]
    for one in found.get("unknown_checks", ()):
        whose = ", of a Dag" if one["origin"] == "dag" else ""
        said = missing("health check", one["check"], found["checks"], "none is made")
        notes.append(f"Breaker {one['breaker']}{whose}: {said}; no verdict opens it.")
    if found["file"]["problem"]:
        notes.append(f"config/limits.yaml is not in force, the one before is: {found['file']['problem']}")
    if found["faults"]["count"]:
        faults = found["faults"]
        notes.append(
            f"{count(faults['count'], 'time')} a guard was wrong and let its task in, last {short(faults['at'])}: {faults['last']}"
        )
    return [visible(note) for note in notes]


def breaker_table(found: list[dict[str, Any]]) -> Table:
    """Return breakers as a table, a line for each of their tokens."""
    table = plain_table("state", "breaker", "of", "until", "under way", "waiting", "why")
    for one in found:
        state = Text(one["state"], style=COLOURS[one["state"]])
        until = short(one["until"]) if one["until"] and one["state"] == "open" else ""
        who = f" (by {one['who']})" if one["who"] else ""
        cells = (one["name"], one["token"], until, str(one["taken"]), str(one["waiting"]), (one["reason"] or "") + who)
        table.add_row(state, *map(cell, cells))
    return table
