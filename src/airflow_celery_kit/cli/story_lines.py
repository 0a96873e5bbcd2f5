"""Runs in: your shell; one attempt for people: what it is, the time of its hops, what happened to it, its error."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from airflow_celery_kit.cli.queue_lines import span
from airflow_celery_kit.cli.record_lines import coloured, plain_table, short, took, where
from airflow_celery_kit.cli.visible import cell, visible
from airflow_celery_kit.core.journal.names import short_name
from airflow_celery_kit.core.journal.open_hop import open_hop

# What an attempt says again and again; the last of several in a row says it all.
REPEATED = ("progress", "checkpoint", "metric")
# Facts that are shown elsewhere.
TOLD = ("trace", "fields", "hash")
# An operator's fields that were given nothing.
NOTHING = (None, "", "None", "[]", "()", "{}", [], {})


def story(found: dict[str, Any], whole: bool = False, now: datetime | None = None) -> Group:
    """Return one attempt for people. `whole` shows each of many events of one kind, `now` is until when an open hop is told."""
    parts: list[Any] = [
        heading(found),
        *waiting(found),
        "",
        facts_table(found),
        "",
        hops_table(found, now or datetime.now(UTC)),
        "",
    ]
    parts.append(events_table(found, found["events"] if whole else folded(found["events"])))
    if found["error"]:
        parts += ["", cell(found["trace"] or found["error"], "red")]
    return Group(*parts)


def heading(found: dict[str, Any]) -> Group:
    """Return which attempt it is; the second line is what commands take as `DAG RUN`."""
    said = cell(f"  {short_name(found)}, try {found['attempt']}, {found['id']}")
    title = Text.assemble(coloured(found["status"]), said)
    return Group(title, Text(visible(f"{found['dag_id']} {found['run_id']}"), no_wrap=True, overflow="ignore"))


def waiting(found: dict[str, Any]) -> list[Text]:
    """Return what limit or breaker an attempt waits for; nothing where none keeps it out."""
    if not found.get("waits_for"):
        return []
    return [cell(f"{found['waits_for']}, since {short(found['since'])}", "yellow")]


def facts_table(found: dict[str, Any]) -> Table:
    """Return what is known of an attempt, without what is not."""
    input = (found["input"] or {}).get("fields", {})
    given = [f"{name}: {plain(value)}" for name, value in input.items() if value not in NOTHING]
    shown = {
        "worker": where(found), "queue": found["queue"], "pool": found["pool"], "priority": found["priority"], "operator": found["operator"],
        "created": short(found["created_at"]), "took": took(found), "progress": progress(found["progress"]) if found["progress"] else "",
        "result": plain(found["result"]) if found["result"] else "", "input": "\n".join(given), "instead of": found["instead_of"],
        "followed by": found["replaced_by"],
    }  # fmt: skip
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in shown.items():
        if value not in (None, ""):
            table.add_row(name, cell(value))
    return table


def hops_table(found: dict[str, Any], now: datetime) -> Table:
    """Return how long each hop took, and the one that goes on."""
    table = plain_table("hop", "took")
    for hop in found["hops"]:
        table.add_row(cell(hop["hop"]), f"{hop['seconds']:.3f} s")
    if present := open_hop(found, now):
        table.add_row(present[0], f"{span(present[1])} so far")
    return table


def events_table(found: dict[str, Any], events: Iterable[dict[str, Any]]) -> Table:
    """Return what happened; the date stands where it is another day than that of the first line."""
    table = plain_table("at", "who", "what", "")
    day = found["created_at"][:10]
    for event in events:
        at = event["at"][11:23] if event["at"][:10] == day else event["at"][:23]
        what = event["kind"] + (f" x {event['times']}" if event.get("times", 1) > 1 else "")
        table.add_row(*map(cell, (at, event["source"], what, ", ".join(new_facts(found, event)))))
    return table


def new_facts(found: dict[str, Any], event: dict[str, Any]) -> Iterator[str]:
    """Yield what an event says that stands nowhere else."""
    facts = event["facts"]
    if event["kind"] == "progress" and "done" in facts:
        yield progress(facts)
        return
    if event["kind"] == "metric":
        yield figures(facts)
        return
    for name, value in facts.items():
        if name not in TOLD and not (name in found and found[name] == value) and value is not None:
            yield f"{name} {plain(value)}"


def figures(facts: dict[str, Any]) -> str:
    """Return what a task counted of its own, name by name: `rows 500, depth 3`."""
    series = facts.get("series")
    known = [one for one in series if isinstance(one, dict)] if isinstance(series, list) else []
    return ", ".join(f"{one.get('name')} {plain(one.get('value'))}" for one in known)


def progress(said: dict[str, Any]) -> str:
    """Return how far it is in words: `27 of 240: the note`."""
    total, note = said.get("total"), said.get("note")
    return f"{said['done']:g}" + (f" of {total:g}" if total is not None else "") + (f": {note}" if note else "")


def folded(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return events with one, the last, for each row of those that are said again and again, with how many they are."""
    found: list[dict[str, Any]] = []
    for event in events:
        same = bool(found) and event["kind"] in REPEATED and found[-1]["kind"] == event["kind"]
        times = found.pop()["times"] + 1 if same else 1
        found.append(event | {"times": times})
    return found


def plain(value: Any) -> str:
    """Return a value of JSON as text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
