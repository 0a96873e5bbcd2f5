"""Runs in: your shell; `kit tasks` and `kit workflows`: what the journal knows, through the api-server."""

import sys
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any
from urllib.parse import quote

import click
import httpx
from rich.console import Group
from rich.text import Text

from airflow_celery_kit.cli.bulk_lines import outcome, preview
from airflow_celery_kit.cli.display import OUT, print_json
from airflow_celery_kit.cli.machine_commands import json_option
from airflow_celery_kit.cli.record_lines import Attempts, Runs
from airflow_celery_kit.cli.run_commands import json_object
from airflow_celery_kit.cli.story_lines import story
from airflow_celery_kit.cli.visible import visible
from airflow_celery_kit.clients import Airflow
from airflow_celery_kit.core.journal.runs import RunState
from airflow_celery_kit.core.journal.statuses import Status
from airflow_celery_kit.core.words import count
from airflow_celery_kit.errors import BadInputError, KitError
from airflow_celery_kit.settings import Settings

LATEST = "latest"
limit_option = click.option(
    "--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="How many at most."
)


OPTIONS = (
    click.option(
        "--status",
        multiple=True,
        type=click.Choice([*Status], case_sensitive=False),
        help="Of this status; may be given several times.",
    ),
    click.option("--dag", "dag_id", help="Of this Dag."),
    click.option("--run", "run_id", help="Of this Dag run."),
    click.option("--task", "task_id", help="Of this task."),
    click.option("--queue", help="Of this queue."),
    click.option("--worker", help="On this worker."),
    click.option("--error", help="With this in their error, upper or lower case."),
)
count_option = click.option(
    "--count", type=click.IntRange(1, 500), help="How many you know they are; without it nothing is changed."
)


def narrowing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that narrow a list of attempts."""
    return reduce(lambda made, option: option(made), reversed(OPTIONS), command)


@click.group()
def tasks() -> None:
    """What is on record of each attempt of a task."""


@click.group()
def workflows() -> None:
    """What is on record of each Dag run."""


@tasks.command("list")
@narrowing
@limit_option
@json_option
def list_tasks(limit: int, as_json: bool, **wanted: Any) -> None:
    """List attempts of tasks, newest first."""
    found = asked("/tasks", wanted | {"limit": limit})
    if as_json:
        return print_json(found)
    OUT.print(Attempts(found["tasks"]) if found["tasks"] else "No such task is on record.")
    if found["next"]:
        OUT.print(Text(f"More than {limit}: narrow the list, or raise --limit.", style="dim"))


@tasks.command("show")
@click.argument("id", type=click.UUID)
@click.option("--all", "whole", is_flag=True, help="Show each progress and checkpoint, not the last of several alone.")
@json_option
def show_task(id: Any, whole: bool, as_json: bool) -> None:
    """Show the whole story of one attempt, with the time that each hop took or takes so far."""
    found = asked(f"/tasks/{id}", {}) | asked(f"/tasks/{id}/events", {}) | waits_of(id)
    print_json(found) if as_json else OUT.print(story(found, whole))


@workflows.command("list")
@click.option("--dag", "dag_id", help="Of this Dag.")
@click.option(
    "--state",
    multiple=True,
    type=click.Choice([*RunState], case_sensitive=False),
    help="In this state; may be given several times.",
)
@limit_option
@json_option
def list_workflows(limit: int, as_json: bool, **wanted: Any) -> None:
    """List Dag runs, newest first, with how many of their tasks are done."""
    found = asked("/workflows", wanted | {"limit": limit})
    if as_json:
        return print_json(found)
    OUT.print(Runs(found["workflows"]) if found["workflows"] else "No such run is on record.")


@workflows.command("show")
@click.argument("dag_id")
@click.argument("run_id", default=LATEST)
@json_option
def show_workflow(dag_id: str, run_id: str, as_json: bool) -> None:
    """Show one Dag run with its tasks; the latest where none is named."""
    run_id = run_named(dag_id, run_id)
    run = asked(path_of(dag_id, run_id), {})
    found = run | {"tasks": asked("/tasks", {"dag_id": dag_id, "run_id": run_id, "limit": 500})["tasks"]}
    print_json(found) if as_json else OUT.print(Group(Runs([found]), "", Attempts(found["tasks"], of_one_run=True)))


@tasks.command("cancel")
@click.argument("id", type=click.UUID)
@json_option
def cancel_task(id: Any, as_json: bool) -> None:
    """Cancel an attempt that has not ended; its process ends within seconds."""
    done(sent(f"/tasks/{id}/cancel"), f"{id} is cancelled", as_json)


@tasks.command("retry")
@click.argument("id", type=click.UUID)
@json_option
def retry_task(id: Any, as_json: bool) -> None:
    """Run a task again that has ended, whatever its end was."""
    found = sent(f"/tasks/{id}/retry")
    done(found, f"{found['id']} follows {id}", as_json)


@tasks.command("cancel-all")
@narrowing
@count_option
@json_option
def cancel_tasks(as_json: bool, **wanted: Any) -> None:
    """Cancel every open attempt that fits. The first call says how many there are, the second one names that number.

    Exit code 1 when one of them is left out, each with the reason.
    """
    many("/tasks/cancel", wanted, "cancelled", as_json)


@tasks.command("retry-all")
@narrowing
@count_option
@json_option
def retry_tasks(as_json: bool, **wanted: Any) -> None:
    """Run every ended attempt that fits again. The first call says how many there are, the second one names that number.

    Exit code 1 when one of them is left out, each with the reason.
    """
    many("/tasks/retry", wanted, "retried", as_json)


def many(path: str, wanted: Mapping[str, Any], verb: str, as_json: bool) -> None:
    """Change many attempts at once, or say how many they are."""
    body = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in wanted.items()
        if value not in (None, ())
    }
    found = sent(path, body)
    if wanted["count"] is None:
        return done(found, "\n".join(preview(found, verb)), as_json)
    done(found, "\n".join(outcome(found, verb)), as_json)
    if found["left_out"]:
        sys.exit(KitError.exit_code)


@workflows.command("start")
@click.argument("dag_id")
@click.option("--conf", help="Parameters of the run, a JSON object.")
@json_option
def start_workflow(dag_id: str, conf: str | None, as_json: bool) -> None:
    """Start a run of a Dag. `kit run` does so too, unpauses the Dag and follows the run."""
    found = sent("/workflows", {"dag_id": dag_id, "conf": json_object(conf)})
    waits = (
        f"; {dag_id} is paused in Airflow and the run waits: 'kit airflow -- dags unpause {dag_id}' lets it go on"
        if found.get("dag_paused")
        else ""
    )
    done(found, f"{dag_id}: started {found['run_id']}{waits}", as_json)


@workflows.command("cancel")
@click.argument("dag_id")
@click.argument("run_id")
@json_option
def cancel_workflow(dag_id: str, run_id: str, as_json: bool) -> None:
    """Cancel a run that has not ended; what runs ends within seconds, what waits never runs."""
    run_id = run_named(dag_id, run_id)
    found = sent(f"{path_of(dag_id, run_id)}/cancel")
    done(found, f"{dag_id} {run_id} is cancelled, {count(found['cancelled'], 'task')} with it", as_json)


@workflows.command("pause")
@click.argument("dag_id")
@click.argument("run_id")
@json_option
def pause_workflow(dag_id: str, run_id: str, as_json: bool) -> None:
    """Pause a run: what runs finishes, nothing further starts, no slot is held."""
    run_id = run_named(dag_id, run_id)
    done(
        sent(f"{path_of(dag_id, run_id)}/pause"),
        f"{dag_id} {run_id} is paused: 'kit workflows resume' lets it go on",
        as_json,
    )


@workflows.command("resume")
@click.argument("dag_id")
@click.argument("run_id")
@json_option
def resume_workflow(dag_id: str, run_id: str, as_json: bool) -> None:
    """Let a paused run go on."""
    run_id = run_named(dag_id, run_id)
    done(sent(f"{path_of(dag_id, run_id)}/resume"), f"{dag_id} {run_id} goes on", as_json)


@workflows.command("retry")
@click.argument("dag_id")
@click.argument("run_id")
@click.option("--dry-run", is_flag=True, help="Say what would run again and change nothing.")
@json_option
def retry_workflow(dag_id: str, run_id: str, dry_run: bool, as_json: bool) -> None:
    """Run again what has failed or was cancelled, and what depends on it."""
    run_id = run_named(dag_id, run_id)
    found = sent(f"{path_of(dag_id, run_id)}/retry", {"dry_run": dry_run})
    verb = "would run" if dry_run else "runs" if found["tasks"] == 1 else "run"
    done(found, f"{count(found['tasks'], 'task')} {verb} again: {', '.join(found['names'])}", as_json)


def waits_of(id: Any) -> dict[str, Any]:
    """Return what limit or breaker an attempt waits for; nothing where the stack is older than this command."""
    try:
        return asked(f"/tasks/{id}/waits", {})
    except BadInputError:
        return {"waits_for": None, "since": None}


def run_named(dag_id: str, run_id: str) -> str:
    """Return a run's id; `latest` is the newest one on record. Raises BadInputError where there is none."""
    if run_id != LATEST:
        return run_id
    found = asked("/workflows", {"dag_id": dag_id, "limit": 1})["workflows"]
    if not found:
        raise BadInputError(f"no run of {dag_id} is on record")
    return str(found[0]["run_id"])


def path_of(dag_id: str, run_id: str) -> str:
    """Return the path of a run below `/kit/v1`."""
    return f"/workflows/{quote(dag_id, safe='')}/{quote(run_id, safe='')}"


def sent(path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Have the api-server do something. Raises BadInputError with its sentence where it refuses."""
    return refusing(lambda api: api.kit_post(path, body or {}))


def done(found: dict[str, Any], sentence: str, as_json: bool) -> None:
    """Say what was done."""
    print_json(found) if as_json else OUT.print(visible(sentence), markup=False)


def asked(path: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the api-server knows. Raises BadInputError with its sentence where it refuses."""
    given = {name: value for name, value in parameters.items() if value not in (None, ())}
    return refusing(lambda api: api.kit(path, **given))


def refusing(call: Callable[[Airflow], dict[str, Any]]) -> dict[str, Any]:
    """Return what the api-server answers. Raises BadInputError with its sentence where it refuses."""
    try:
        return call(Airflow(Settings.load()))
    except httpx.HTTPStatusError as problem:
        raise BadInputError(said(problem.response)) from problem


def said(answer: httpx.Response) -> str:
    """Return the sentence of an answer that refuses."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the api-server answers {answer.status_code}"


COMMANDS = (tasks, workflows)
