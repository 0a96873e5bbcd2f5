"""Runs in: your shell; the entry point of `kit`: one line for every error, an honest exit code."""

import sys
from dataclasses import dataclass

import click
import httpx

from airflow_celery_kit.cli import machine_commands, run_commands, stack_commands
from airflow_celery_kit.cli.display import ERR
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


for module in (machine_commands, stack_commands, run_commands):
    for command in module.COMMANDS:
        kit.add_command(command)


def main() -> None:
    """Run `kit`; a KitError becomes one line on standard error and its own exit code."""
    try:
        kit(standalone_mode=False)
    except click.Abort:
        _fail("interrupted", 130)
    except click.ClickException as problem:
        _fail(f"{problem.format_message()} (see '{_command(problem)} --help')", problem.exit_code)
    except KitError as problem:
        _fail(str(problem), problem.exit_code)
    except OSError as problem:
        _fail(f"{problem.filename or 'this machine'}: {problem.strerror or problem}: put that right and call again", 4)
    except (UnicodeError, OverflowError) as problem:
        _fail(f"a value or file cannot be read: {problem}", 3)
    except httpx.InvalidURL as problem:
        _fail(f"that cannot be a name: {problem}", 2)
    except httpx.HTTPStatusError as refused:
        _fail(
            f"Airflow refuses: {refused.request.method} {refused.request.url.path} answers {refused.response.status_code}",
            KitError.exit_code,
        )


def _command(problem: click.ClickException) -> str:
    context = getattr(problem, "ctx", None)
    return context.command_path if context else "kit"


def _fail(line: str, code: int) -> None:
    ERR.print("kit:", style="red", end=" ")
    ERR.print(line, markup=False)
    sys.exit(code)


if __name__ == "__main__":
    main()
