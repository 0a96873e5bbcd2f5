"""Runs in: `make docs`; commands.md, the command line."""

import re
from collections.abc import Iterator

import click

from airflow_celery_kit import errors
from airflow_celery_kit.cli.main import kit
from reference.examples import JSON_SHAPES
from reference.markdown import code, json_block, listed, page, table

ARGUMENTS = {
    "arguments": "Handed to Airflow as they are; write `--` before them.",
    "dag_id": "The Dag's id.",
    "id": "The attempt's id, as `kit tasks list` shows it.",
    "run_id": "The run's id, or `latest` for the newest run on record.",
    "instance": "An instance such as `airflow-worker-2`, or a service that has one instance only.",
    "instances": "Services or instances; all of them when left out.",
    "name": "Its name, as the command `list` of the same group shows it.",
    "named": "Workers such as `airflow-worker-2`, or services such as `airflow-worker`; every worker when left out.",
    "workers": "Number of airflow-worker instances; 0 is allowed.",
}


def commands_page() -> str:
    """The command line."""
    intro = (
        "`kit` is in `.venv/bin`. It works on the checkout that the present folder lies in; `KIT_ROOT` names another. "
        "Progress goes to standard error, results to standard output. In a pipe or a file no line wraps or is cut off."
    )
    parts = [f"## kit\n\n{options_table(kit)}", exit_codes()]
    parts += [command_part(name, command) for name, command in every(kit)]
    return page("Commands", "the commands in `src/airflow_celery_kit/cli` and `errors.py`", intro, *parts)


def every(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command by its whole name, those of a group after it."""
    for name, command in sorted(group.commands.items()):
        yield f"{before}{name}", command
        if isinstance(command, click.Group):
            yield from every(command, f"{before}{name} ")


def command_part(name: str, command: click.Command) -> str:
    """One command: usage, help, options, JSON."""
    usage = " ".join(["kit", name, *command.collect_usage_pieces(click.Context(command))])
    parts = [f"## kit {name}", f"`{usage}`", re.sub(r"\s*\n\s*", " ", command.help or "")]
    if any(parameter.opts != ["--help"] for parameter in command.params):
        parts.append(options_table(command))
    if name in ("up", "scale", "drain", "resume"):
        parts.append("`--json` prints the same as [`kit status --json`](#kit-status).")
    parts += [f"`{call}` prints:\n\n{json_block(data)}" for call, data in JSON_SHAPES.get(name, ())]
    return "\n\n".join(parts)


def options_table(command: click.Command) -> str:
    """Arguments and options of one command."""
    rows = [parameter_row(parameter) for parameter in command.params]
    return table(("Argument or option", "Default", "What it does"), rows)


def parameter_row(parameter: click.Parameter) -> tuple[str, str, str]:
    """One argument or option."""
    if isinstance(parameter, click.Option):
        shown = parameter.default if parameter.show_default else ""
        if parameter.required:
            return listed(parameter.opts), "required", parameter.help or ""
        variable = f" Environment variable: `{parameter.envvar}`." if parameter.envvar else ""
        return listed(parameter.opts), code(shown), f"{parameter.help}{variable}"
    return code(parameter.make_metavar(click.Context(kit))), "", ARGUMENTS[parameter.name or ""]


def exit_codes() -> str:
    """What a failing command ends with."""
    rows = [(0, "", "It worked."), *sorted(map(error_row, error_classes(errors.KitError)))]
    remark = "`kit airflow` ends with the exit code of Airflow's own command line, `kit doctor` with 4 for any finding."
    return f"## Exit codes\n\n{table(('Code', 'Error', 'When'), rows)}\n\n{remark}"


def error_classes(top: type[errors.KitError]) -> Iterator[type[errors.KitError]]:
    """The whole tree of errors."""
    yield top
    for child in top.__subclasses__():
        yield from error_classes(child)


def error_row(error: type[errors.KitError]) -> tuple[int, str, str]:
    """One error; its docstring names the code, which has a column of its own."""
    words = re.sub(r"\.? Exit code \d+", "", error.__doc__ or "")
    return error.exit_code, code(error.__name__), words
