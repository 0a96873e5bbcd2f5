"""Runs in: your shell; `kit repair`, the controller's look and its cure by hand."""

import json
from typing import Any

import click
from rich.table import Table

from airflow_celery_kit.cli.display import OUT, print_json
from airflow_celery_kit.cli.machine_commands import json_option
from airflow_celery_kit.cli.stack_commands import opened
from airflow_celery_kit.cli.visible import cell

LOOK = ["python", "-m", "airflow_celery_kit.controller.main", "--once"]


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what is stuck and change nothing.")
@json_option
@click.pass_obj
def repair(choice: Any, dry_run: bool, as_json: bool) -> None:
    """Compare database, broker and workers; put back what has been lost for 20 s and stays so for six more. The controller does it by itself."""
    _, runtime = opened(choice)
    found = json.loads(runtime.ask("airflow-controller", LOOK if dry_run else [*LOOK, "--act"]).splitlines()[-1])
    if as_json:
        print_json(found)
    elif not found["stuck"]:
        OUT.print("Nothing is stuck. What was lost a moment ago is looked at from its 20th second on.")
    else:
        OUT.print(stuck_table(found["stuck"]))


def stuck_table(rows: list[dict[str, Any]]) -> Table:
    """Return what is stuck as a table; `done` is there once something was changed."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("task", "action", "reason", ""):
        table.add_column(title)
    for row in rows:
        done = {True: "done", False: "moved by itself"}.get(row.get("done"), "")
        table.add_row(cell(row["task"]), cell(row["action"]), cell(row["reason"]), done)
    return table


COMMANDS = (repair,)
