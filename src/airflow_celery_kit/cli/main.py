"""Runs in: your shell; the entry point of `kit`: one line for every error, an honest exit code."""

import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click
import httpx

from airflow_celery_kit.cli import (
    bench_commands,
    guard_commands,
    health_commands,
    housekeeping_commands,
    journal_commands,
    machine_commands,
    record_commands,
    repair_commands,
    run_commands,
    stack_commands,
    worker_commands,
)
from airflow_celery_kit.cli.display import ERR
from airflow_celery_kit.cli.visible import visible
from airflow_celery_kit.errors import BadInputError, KitError
from airflow_celery_kit.runtimes.choose import RUNTIMES


@dataclass
class Choice:
    """What the options before the command say."""

    runtime: str | None


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--runtime",
    envvar="RUNTIME",
    help="compose or embedded; by default whichever runs, else Compose where Docker answers.",
)
@click.pass_context
def kit(context: click.Context, runtime: str | None) -> None:
    """Airflow on Celery, on Docker Compose or without Docker."""
    if runtime and runtime not in RUNTIMES:
        raise BadInputError(f"RUNTIME cannot be {runtime!r}: it is compose or embedded")
    context.obj = Choice(runtime or None)


for module in (
    machine_commands,
    stack_commands,
    worker_commands,
    run_commands,
    record_commands,
    journal_commands,
    repair_commands,
    guard_commands,
    health_commands,
    housekeeping_commands,
    bench_commands,
):
    for command in module.COMMANDS:
        kit.add_command(command)


def main() -> None:
    """Run `kit`; every error becomes one line on standard error and an exit code of its kind. A group without a command says its help."""
    try:
        kit(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as help:
        click.echo(help.format_message(), err=True)
        sys.exit(help.exit_code)
    except Exception as problem:
        _fail(*next(explain(problem) for kind, explain in EXPLANATIONS if isinstance(problem, kind)))


def _usage(problem: click.ClickException) -> tuple[str, int]:
    context = getattr(problem, "ctx", None)
    return f"{problem.format_message()} (see '{context.command_path if context else 'kit'} --help')", problem.exit_code


def _machine(problem: OSError) -> tuple[str, int]:
    return f"{problem.filename or 'this machine'}: {problem.strerror or problem}: put that right and call again", 4


def _refused(problem: httpx.HTTPStatusError) -> tuple[str, int]:
    asked = f"{problem.request.method} {problem.request.url.path}"
    return f"Airflow refuses: {asked} answers {problem.response.status_code}", KitError.exit_code


def _unexpected(problem: Exception) -> tuple[str, int]:
    with tempfile.NamedTemporaryFile("w", prefix="kit-", suffix=".traceback", delete=False) as file:
        traceback.print_exception(problem, file=file)
    return f"unexpected: {type(problem).__name__}: {problem} (please report it with {file.name})", KitError.exit_code


EXPLANATIONS: tuple[tuple[Any, Callable[[Any], tuple[str, int]]], ...] = (
    (click.Abort, lambda problem: (str(problem) or "interrupted", 130)),
    (click.ClickException, _usage),
    (KitError, lambda problem: (str(problem), problem.exit_code)),
    (OSError, _machine),
    ((UnicodeError, OverflowError), lambda problem: (f"a value or file cannot be read: {problem}", 3)),
    (httpx.InvalidURL, lambda problem: (f"that cannot be a name: {problem}", 2)),
    (httpx.HTTPStatusError, _refused),
    (Exception, _unexpected),
)


def _fail(line: str, code: int) -> None:
    ERR.print("kit:", style="red", end=" ")
    ERR.print(visible(line), markup=False)
    sys.exit(code)


if __name__ == "__main__":
    main()
