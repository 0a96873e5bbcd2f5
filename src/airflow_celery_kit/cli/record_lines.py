"""Runs in: your shell; what people see of the journal's records: attempts and Dag runs as tables, one attempt's story."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

from airflow_celery_kit.cli.queue_lines import span

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
    """Attempts as a table; on a narrow screen without what `kit tasks show` says too."""

    found: list[dict[str, Any]]

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        titles = [title for title in OF_ATTEMPT if options.max_width >= WIDE or title in BRIEF]
        table = plain_table("status", *titles)
        for one in self.found:
            table.add_row(coloured(one["status"]), *(Text(str(OF_ATTEMPT[title](one) or "")) for title in titles))
        yield table


def name_of(one: dict[str, Any]) -> str:
    """Return an attempt's task, with its Dag, run and map index."""
    mapped = f"[{one['map_index']}]" if (one["map_index"] or -1) >= 0 else ""
    return f"{one['dag_id']}/{one['run_id']}/{one['task_id']}{mapped}"


def worker_table(found: list[dict[str, Any]]) -> Table:
    """Return workers as a table."""
    table = plain_table("state", "worker", "queues", "slots in use", "host", "asked by")
    for one in found:
        used = f"{one['held']}/{one['slots']}" if one["held"] is not None else ""
        who = one["asked_by"] or ""
        cells = (one["state"], one["name"], ", ".join(one["queues"] or ()), used, one["host"] or "", who)
        table.add_row(*map(Text, cells))
    return table


def workflow_table(found: list[dict[str, Any]]) -> Table:
    """Return Dag runs as a table."""
    table = plain_table("state", "run", "done", "by status", "asked by", "created", "took")
    for one in found:
        counts = ", ".join(f"{status} {number}" for status, number in sorted(one["counts"].items()))
        who = one["user_name"] or one["asked_by"] or ""
        cells = (f"{one['dag_id']}/{one['run_id']}", one["progress"], counts, who, short(one["created_at"]))
        table.add_row(
            "paused" if one["paused"] else one["state"],
            *map(Text, cells),
            spent(one["started_at"], one["completed_at"]),
        )
    return table


def story(found: dict[str, Any]) -> Group:
    """Return one attempt for people: what it is, its hops, its events, its error."""
    waits = plain_table("hop", "took")
    for hop in found["hops"]:
        waits.add_row(hop["hop"], f"{hop['seconds']:.3f} s")
    events = plain_table("at", "who", "what", "")
    for event in found["events"]:
        facts = {name: value for name, value in event["facts"].items() if name not in ("trace", "fields")}
        events.add_row(
            event["at"][:23],
            event["source"],
            event["kind"],
            Text(", ".join(f"{name} {value}" for name, value in facts.items())),
        )
    parts: list[Any] = [Attempts([found]), "", waits, "", events]
    if found.get("waits_for"):
        parts.insert(1, Text(f"{found['waits_for']}, since {short(found['since'])}", style="yellow"))
    if found["error"]:
        parts += ["", Text(found["trace"] or found["error"], style="red")]
    return Group(*parts)


def plain_table(*titles: str) -> Table:
    """Return a table without lines."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in titles:
        # What is to be copied stays whole, however narrow the screen is.
        table.add_column(title, no_wrap=title in WHOLE, min_width=WHOLE.get(title), overflow="fold")
    return table


def coloured(status: str) -> Text:
    """Return a status in its colour."""
    return Text(status, style=COLOURS.get(status, ""))


def short(at: str) -> str:
    """Return a time to the second."""
    return at[:19].replace("T", " ")


def spent(begun: str | None, ended: str | None) -> str:
    """Return how long something took, nothing where it has not ended."""
    if not (begun and ended):
        return ""
    return span((datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds())


OF_ATTEMPT: dict[str, Callable[[dict[str, Any]], Any]] = {
    "task": name_of,
    "try": lambda one: one["attempt"],
    "queue": lambda one: one["queue"],
    "worker": lambda one: one["worker"],
    "created": lambda one: short(one["created_at"]),
    "took": lambda one: spent(one["started_at"], one["completed_at"]),
    ID: lambda one: one["id"],
}
