"""Runs in: your shell; the lines of `kit status` about what waits for each queue, in Airflow and in the broker."""

from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from airflow_celery_kit.cli.visible import cell
from airflow_celery_kit.clients import Queues

UNKNOWN = "?"
NOBODY = "nobody takes its tasks: 'kit workers list'"


def queue_lines(queues: Queues) -> Group | Text:
    """Return one line a queue and one more for each that stands still, or one that says why nobody knows."""
    if queues.unknown:
        return cell(f"queues unknown: {queues.unknown}", "dim")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("queue", "in Airflow", "oldest", "in the broker", "oldest", "slots", "by priority step"):
        table.add_column(title)
    for queue in queues.seen:
        slots = UNKNOWN if queue["slots"] is None else str(queue["slots"])
        due = {"waiting": queue.get("scheduled", 0), "oldest_seconds": queue.get("scheduled_oldest_seconds")}
        counted = (str(due["waiting"]), waited(due), str(queue["waiting"]), waited(queue))
        table.add_row(cell(queue["queue"]), *counted, slots, by_step(queue))
    return Group(table, *(cell(f"{queue['queue']}: {NOBODY}") for queue in queues.seen if stands(queue)))


def stands(queue: dict[str, Any]) -> bool:
    """Return whether tasks wait for a queue that no worker serves, or only workers that rest."""
    return queue["slots"] == 0 and bool(queue.get("scheduled") or queue["waiting"])


def by_step(queue: dict[str, Any]) -> str:
    """Return how much waits in each priority step that holds something, the one that is taken first in front."""
    return ", ".join(f"step {one['step']}: {one['waiting']} ({waited(one)})" for one in queue["steps"])


def waited(one: dict[str, Any]) -> str:
    """Return how long the oldest message of a queue or step waits, nothing where none waits."""
    if not one["waiting"]:
        return ""
    return UNKNOWN if one["oldest_seconds"] is None else span(one["oldest_seconds"])


def span(seconds: float) -> str:
    """Return seconds as people say them: in days, hours or minutes from two of these on."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
