"""Runs in: your shell; `kit housekeeping`, a round by hand."""

import json
import sys
from typing import Any

import click
from rich.table import Table

from airflow_celery_kit.cli.display import ERR, OUT, print_json, steps
from airflow_celery_kit.cli.machine_commands import json_option
from airflow_celery_kit.cli.stack_commands import opened
from airflow_celery_kit.cli.visible import cell, visible
from airflow_celery_kit.errors import KitError
from airflow_celery_kit.runtimes.base import Runtime

# What each part reaches with the rights that it has anyway.
PARTS = {
    "airflow-controller": "airflow_celery_kit.controller.housekeeping",
    "airflow-triggerer": "airflow_celery_kit.triggerer.housekeeping",
}
NOTHING = "Nothing is too old or too large: there is nothing to remove."
UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what would go and change nothing.")
@json_option
@click.pass_obj
def housekeeping(choice: Any, dry_run: bool, as_json: bool) -> None:
    """Remove now what config/housekeeping.yaml does not keep, as the controller's loop does round after round. Exit code 1 when some of it stays."""
    _, runtime = opened(choice)
    # One line says that nothing runs, before there is any progress to show.
    runtime.names()
    parts: list[dict[str, Any]] = []
    try:
        with steps() as shown:
            for service, module in PARTS.items():
                shown.say(f"{'looking at' if dry_run else 'cleaning'} what {service} reaches")
                parts.append(asked(runtime, service, ["python", "-m", module, *(["--dry-run"] if dry_run else [])]))
    finally:
        # What one part has removed is said though the other one fails.
        found = whole(parts, dry_run)
        if parts:
            show(found, as_json, answered=len(parts) == len(PARTS))
    if found["errors"] or not (dry_run or found["complete"]):
        sys.exit(KitError.exit_code)


def asked(runtime: Runtime, service: str, command: list[str]) -> dict[str, Any]:
    """Return what a part says of its round. Raises KitError where it says nothing that can be read."""
    said = runtime.ask(service, command)
    try:
        return dict(json.loads(said.splitlines()[-1]))
    except (ValueError, IndexError) as problem:
        raise KitError(f"{service} does not say what it did: see 'kit logs {service}'") from problem


def show(found: dict[str, Any], as_json: bool, answered: bool) -> None:
    """Print a round; `answered` says that every part has."""
    if as_json:
        return print_json(found)
    if any(map(matters, found["rows"])):
        OUT.print(table(found))
    elif answered and not found["errors"]:
        OUT.print(NOTHING)
    for error in found["errors"]:
        ERR.print(visible(error), style="red", markup=False)
    if not (found["dry_run"] or found["complete"]):
        ERR.print("Not all of it is gone; the controller's loop goes on with it.")


def whole(parts: list[dict[str, Any]], dry: bool) -> dict[str, Any]:
    """Return both parts as one."""
    return {
        "dry_run": dry,
        "complete": len(parts) == len(PARTS) and all(part["complete"] for part in parts),
        "rows": [row for part in parts for row in part["rows"]],
        "errors": [error for part in parts for error in part["errors"]],
        "disk": next((part["disk"] for part in parts if part.get("disk")), None),
    }


def table(found: dict[str, Any]) -> Table:
    """Return a round as a table; in a dry run nothing was removed."""
    made = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("what", "kept for", "too old", "oldest", "size", "would go" if found["dry_run"] else "removed"):
        made.add_column(title, justify="left" if title == "what" else "right")
    for row in filter(matters, found["rows"]):
        removed = row["rows"] if found["dry_run"] else row["removed"]
        oldest = duration(row["oldest_seconds"]) if row["rows"] else ""
        kept = f"{row['limit']} {row['keeps']}"
        made.add_row(cell(row["what"]), kept, f"{row['rows']:,}", oldest, size(row["bytes"]), f"{removed:,}")
    return made


def matters(row: dict[str, Any]) -> bool:
    """Return whether something is too old or too large, or was."""
    return bool(row["rows"] or row["removed"])


def duration(seconds: float) -> str:
    """Return seconds in the largest unit of which there are two or more."""
    length, unit = next(((length, unit) for length, unit in UNITS if seconds >= 2 * length), UNITS[-1])
    return f"{seconds / length:.0f} {unit}"


def size(count: float) -> str:
    """Return bytes in the unit that leaves a number below a thousand."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


COMMANDS = (housekeeping,)
