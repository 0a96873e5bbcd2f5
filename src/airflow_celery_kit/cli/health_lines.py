"""Runs in: your shell; verdicts as people read them: a table, or on a narrow screen a paragraph each."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from airflow_celery_kit.cli.queue_lines import span
from airflow_celery_kit.cli.record_lines import WIDE, plain_table
from airflow_celery_kit.cli.visible import cell, visible

COLOURS = {
    "Healthy": "green", "Degraded": "yellow", "Insecure": "magenta", "Unhealthy": "red", "Permanently Unavailable": "bold red",
}  # fmt: skip


@dataclass(frozen=True)
class Verdicts:
    """What `kit health` shows; colours only where a terminal is."""

    found: dict[str, Any]

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        state = self.found["state"]
        yield Text.assemble((state, COLOURS[state]), ", ready" if self.found["ready"] else ", not ready", "\n")
        verdicts = together(self.found["verdicts"])
        if options.max_width < WIDE:
            yield from map(paragraph, verdicts)
            return
        table = plain_table("check", "subject", "state", "since", "why", "cure")
        for one in verdicts:
            subject = "" if one["subject"] == one["check"] else one["subject"]
            mark = Text(one["state"], style=COLOURS[one["state"]])
            table.add_row(cell(one["check"]), cell(subject), mark, lasted(one), cell(one["why"]), cell(one["cure"]))
        yield table


def together(verdicts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return verdicts with one for all that are not well for the same reason, as while a database starts: it names them all."""
    alike: dict[Any, list[dict[str, Any]]] = {}
    for one in verdicts:
        key = (one["state"], one["why"], one["cure"]) if one["cure"] else (one["check"], one["subject"])
        alike.setdefault(key, []).append(one)
    return [several[0] if len(several) == 1 else joined(several) for several in alike.values()]


def joined(several: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one verdict for several, of what began first."""
    names = ", ".join(
        one["check"] if one["subject"] == one["check"] else f"{one['check']} {one['subject']}" for one in several
    )
    return several[0] | {"check": names, "subject": names, "since": min(one["since"] for one in several)}


def paragraph(one: dict[str, Any]) -> Text:
    """Return a verdict in one line, with what to do in a second one."""
    subject = "" if one["subject"] == one["check"] else f" {one['subject']}"
    said = visible(f" {one['check']}{subject}, {lasted(one)}: {one['why']}")
    line = Text.assemble((one["state"], COLOURS[one["state"]]), said)
    return Text.assemble(line, cell(f"\n  {one['cure']}")) if one["cure"] else line


def lasted(one: dict[str, Any]) -> str:
    """Return for how long it has been so."""
    return f"for {span(max(0.0, (datetime.now(UTC) - datetime.fromisoformat(one['since'])).total_seconds()))}"
