"""Runs in: your shell; what people see of lists of the journal's records: attempts, Dag runs and workers."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from airflow_celery_kit.cli.queue_lines import span
from airflow_celery_kit.cli.visible import cell, visible
from airflow_celery_kit.core.journal.names import name_of, short_name

ID = "id"
# How wide columns are that stay whole.
WHOLE = {ID: 36, "status": 10}
# Narrower screens show these alone.
WIDE, BRIEF = 130, ("task", "try", ID)
COLOURS = {
    "SUCCESS": "green", "NO_DATA": "green", "FAILURE": "red", "TIMEOUT": "red", "CANCELLED": "magenta", "RETRY": "yellow", "PROCESSING": "cyan",
}  # fmt: skip


@dataclass(frozen=True)
class Attempts:
    """Attempts as a table; on a narrow screen without what `kit tasks show` says too. Those of one run need not name it."""

    found: list[dict[str, Any]]
    of_one_run: bool = False

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        titles = [title for title in OF_ATTEMPT if options.max_width >= WIDE or title in BRIEF]
        failed = options.max_width >= WIDE and any(one["error"] for one in self.found)
        table = plain_table("status", *titles)
        if failed:
            table.add_column("error", no_wrap=True, overflow="ellipsis")
        for one in self.found:
            cells = [OF_ATTEMPT[title](one) for title in titles] + ([last_line(one["error"])] if failed else [])
            if self.of_one_run:
                cells[titles.index("task")] = short_name(one)
            table.add_row(coloured(one["status"]), *(cell(one or "") for one in cells))
        yield table


@dataclass(frozen=True)
class Runs:
    """Dag runs, each with its name as commands take it, whole: in a column, or where that leaves no room on a line of its own."""

    found: list[dict[str, Any]]

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        if options.max_width >= WIDE:
            table = plain_table("state", "Dag and run", "done", "took", "created", "asked by", "by status")
            for one in self.found:
                name = Text(visible(f"{one['dag_id']} {one['run_id']}"), no_wrap=True)
                who = one["user_name"] or one["asked_by"] or ""
                cells = (one["progress"], took(one), short(one["created_at"]), who, counted(one))
                table.add_row(state_of(one), name, *map(cell, cells))
            yield table
            return
        for one in self.found:
            yield cell(
                f"{state_of(one):<8} {one['progress']:>7}  {took(one) or short(one['created_at'])}  {counted(one)}"
            )
            yield Text(visible(f"  {one['dag_id']} {one['run_id']}"), style="dim", no_wrap=True, overflow="ignore")


def worker_table(found: list[dict[str, Any]]) -> Table:
    """Return workers as a table; who gave the last order is told of those that it still keeps from work."""
    table = plain_table("state", "worker", "queues", "slots in use", "host", "asked by")
    for one in found:
        used = f"{one['held']}/{one['slots']}" if one["held"] is not None else ""
        who = "" if one["state"] == "working" else one["asked_by"] or ""
        cells = (one["state"], one["name"], ", ".join(one["queues"] or ()), used, one["host"] or "", who)
        table.add_row(*map(cell, cells))
    return table


def state_of(run: dict[str, Any]) -> str:
    """Return a run's state; one that is paused has another one in Airflow."""
    return "paused" if run["paused"] and not run["completed_at"] else str(run["state"])


def counted(run: dict[str, Any]) -> str:
    """Return how many tasks of a run are in each status."""
    return ", ".join(f"{status} {number}" for status, number in sorted(run["counts"].items()))


def plain_table(*titles: str) -> Table:
    """Return a table without lines."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in titles:
        # What is to be copied stays whole, however narrow the screen is.
        table.add_column(title, no_wrap=title in WHOLE, min_width=WHOLE.get(title), overflow="fold")
    return table


def coloured(status: str) -> Text:
    """Return a status in its colour."""
    return cell(status, COLOURS.get(status, ""))


def short(at: str) -> str:
    """Return a time to the second."""
    return at[:19].replace("T", " ")


def last_line(text: str | None) -> str:
    """Return the last line of an error."""
    return (text or "").strip().rpartition("\n")[2]


def where(one: dict[str, Any]) -> str:
    """Return the worker that took an attempt; Airflow names the one of the try before until then."""
    return (one["worker"] or "") if one["received_at"] or one["started_at"] else ""


def took(one: dict[str, Any]) -> str:
    """Return how long something took, or takes so far, nothing where it has not begun."""
    if not (begun := one["started_at"]) or (one.get("status") == "PENDING"):
        return ""
    ended = datetime.fromisoformat(one["completed_at"]) if one["completed_at"] else datetime.now(UTC)
    seconds = max(0.0, (ended - datetime.fromisoformat(begun)).total_seconds())
    return span(seconds) + ("" if one["completed_at"] else " so far")


OF_ATTEMPT: dict[str, Callable[[dict[str, Any]], Any]] = {
    "task": name_of,
    "try": lambda one: one["attempt"],
    "queue": lambda one: one["queue"],
    "worker": where,
    "created": lambda one: short(one["created_at"]),
    "took": took,
    ID: lambda one: one["id"],
}
