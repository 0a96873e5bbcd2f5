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
        if options.max_width < WIDE:
            yield from map(paragraph, self.found["verdicts"])
            return
        table = plain_table("check", "subject", "state", "since", "why", "cure")
        for one in self.found["verdicts"]:
            subject = "" if one["subject"] == one["check"] else one["subject"]
            mark = Text(one["state"], style=COLOURS[one["state"]])
            table.add_row(cell(one["check"]), cell(subject), mark, lasted(one), cell(one["why"]), cell(one["cure"]))
        yield table


def paragraph(one: dict[str, Any]) -> Text:
    """Return a verdict in one line, with what to do in a second one."""
    subject = "" if one["subject"] == one["check"] else f" {one['subject']}"
    said = visible(f" {one['check']}{subject}, {lasted(one)}: {one['why']}")
    line = Text.assemble((one["state"], COLOURS[one["state"]]), said)
    return Text.assemble(line, cell(f"\n  {one['cure']}")) if one["cure"] else line


def lasted(one: dict[str, Any]) -> str:
    """Return for how long it has been so."""
    return f"for {span(max(0.0, (datetime.now(UTC) - datetime.fromisoformat(one['since'])).total_seconds()))}"
