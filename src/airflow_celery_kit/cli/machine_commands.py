"""Runs in: your shell; `kit init` and `kit doctor`."""

import sys
from typing import Any

import click
from rich.markup import escape

from airflow_celery_kit import doctor as checks
from airflow_celery_kit.cli.display import OUT, print_json, steps
from airflow_celery_kit.exclusive import exclusive
from airflow_celery_kit.initialise import initialise
from airflow_celery_kit.runtimes import docker_engine, images
from airflow_celery_kit.settings import find_root

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


@click.command()
@json_option
@click.pass_obj
def init(choice: Any, as_json: bool) -> None:
    """Write .env with generated secrets, secrets/ and folders; keep what is there."""
    root = find_root()
    with exclusive(root), steps() as shown:
        settings = initialise(root, shown.say)
        if choice.runtime != "embedded" and docker_engine.answers():
            settings = images.decide(settings, shown.say)
    if as_json:
        print_json(
            {"env": str(settings.env_file), "project": settings.project, "image_source": settings["IMAGE_SOURCE"]}
        )
    else:
        click.echo(f"{settings.env_file} is complete. Next: 'kit up', or 'docker compose up -d'.")


@click.command()
@json_option
@click.pass_obj
def doctor(choice: Any, as_json: bool) -> None:
    """Check the machine and a running stack; name cause and cure. Exit code 4 when something is wrong."""
    findings = checks.examine(find_root(), choice.runtime)
    if as_json:
        print_json([finding.as_dict() for finding in findings])
    else:
        for finding in findings:
            mark = "[green]ok  [/]" if finding.fine else "[red]FAIL[/]"
            OUT.print(f"{mark} {finding.subject}: {escape(finding.text)}")
    sys.exit(0 if all(finding.fine for finding in findings) else 4)


COMMANDS = (init, doctor)
