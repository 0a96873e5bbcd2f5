"""Runs in: your shell; `kit journal`, what looks after the journal itself."""

import json
from typing import Any

import click

from airflow_celery_kit.cli.display import OUT, print_json
from airflow_celery_kit.cli.machine_commands import json_option
from airflow_celery_kit.cli.stack_commands import opened
from airflow_celery_kit.core.words import count

PRUNE = ["python", "-m", "airflow_celery_kit.controller.journal"]


@click.group()
def journal() -> None:
    """Look after the record of tasks and workflows."""


@journal.command()
@click.option(
    "--days",
    type=click.IntRange(1, 36500),
    help="What ended longer ago than so many days goes; without it JOURNAL_DAYS says.",
)
@click.option("--dry-run", is_flag=True, help="Count it and remove nothing.")
@json_option
@click.pass_obj
def prune(choice: Any, days: int | None, dry_run: bool, as_json: bool) -> None:
    """Remove what is old. The controller does so by itself once an hour, by JOURNAL_DAYS."""
    settings, runtime = opened(choice)
    kept = str(days or settings["JOURNAL_DAYS"])
    found = json.loads(
        runtime.ask("airflow-controller", [*PRUNE, kept, *([] if dry_run else ["--act"])]).splitlines()[-1]
    )
    if as_json:
        return print_json(found)
    verb = "would go" if dry_run else "are gone"
    events = f"{count(found['events'], 'event')}, " if dry_run else ""
    gone = f"{count(found['tasks'], 'attempt')} and {count(found['workflows'], 'run')}"
    OUT.print(f"{events}{gone} from before {found['before'][:10]} {verb}")


COMMANDS = (journal,)
