"""Runs in: your shell; the commands that work with Dags: `kit run` and Airflow's own command line."""

import json
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import click
from rich.live import Live

from airflow_celery_kit import dag_runs
from airflow_celery_kit.cli.display import ERR, OUT, print_json, run_picture
from airflow_celery_kit.cli.machine_commands import json_option
from airflow_celery_kit.cli.stack_commands import opened
from airflow_celery_kit.cli.visible import visible
from airflow_celery_kit.clients import Airflow
from airflow_celery_kit.dag_retries import Retries
from airflow_celery_kit.errors import BadInputError, RunFailedError
from airflow_celery_kit.settings import Settings

# The Dag processor looks for new files every five seconds and reads them in a few more.
NEW_FILE_SECONDS = 30.0


@click.command()
@click.argument("dag_id")
@click.option("--conf", help="Parameters of the run, a JSON object.")
@click.option("--wait", is_flag=True, help="Follow the run; exit code 0 only on success.")
@json_option
def run(dag_id: str, conf: str | None, wait: bool, as_json: bool) -> None:
    """Trigger a run of a Dag, unpausing it if need be, and follow it with --wait."""
    parameters = json_object(conf)
    settings = Settings.load()
    api = Airflow(settings)
    if _has_fresh_files(settings):
        dag_runs.wait_until_known(api, dag_id, NEW_FILE_SECONDS)
    run_id, unpaused = dag_runs.trigger(api, dag_id, parameters)
    if unpaused:
        ERR.print(f"{dag_id} was paused; it is not any more")
    if not wait:
        print_json({"dag_id": dag_id, "run_id": run_id}) if as_json else OUT.print(f"{dag_id}: started {run_id}")
        return
    ERR.print(f"{dag_id}: started {run_id}", markup=False)
    last = _watch(dag_runs.follow(api, dag_id, run_id), Retries(api, dag_id, run_id))
    if as_json:
        print_json(last.as_dict())
    else:
        OUT.print(run_picture(last))
    if last.state != "success":
        failed = [task["task_id"] for task in last.tasks if task["state"] == "failed"]
        page = f"{settings.url('AIRFLOW_PORT')}/dags/{dag_id}/runs/{quote(run_id)}"
        raise RunFailedError(
            f"{dag_id} {run_id} is {last.state}; failed: {', '.join(failed) or 'no task'}; logs: {page}"
        )


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []}
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def airflow(choice: Any, arguments: tuple[str, ...]) -> None:
    """Run Airflow's own command line inside the stack: kit airflow -- dags list."""
    _, runtime = opened(choice)
    sys.exit(runtime.airflow(list(arguments)))


def _has_fresh_files(settings: Settings) -> bool:
    """Return whether a file in dags/ is so new that the Dag processor may not have read it."""
    changed = (path.stat().st_mtime for path in (settings.root / "dags").rglob("*.py"))
    return time.time() - max(changed, default=0.0) < NEW_FILE_SECONDS


def json_object(text: str | None) -> dict[str, Any]:
    """Return what --conf says. Raises BadInputError."""
    try:
        parsed = json.loads(text, parse_constant=_no_constant) if text else {}
        json.dumps(parsed, allow_nan=False).encode()
    except (ValueError, RecursionError) as problem:
        raise BadInputError(f"--conf is not JSON ({problem}): write it like --conf '{{\"size\": 3}}'") from problem
    if not isinstance(parsed, dict):
        raise BadInputError("--conf must be a JSON object, like '{\"size\": 3}'")
    return parsed


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _watch(looks: Iterator[dag_runs.Progress], retries: Retries) -> dag_runs.Progress:
    """Show each look as a progress bar, and what is tried again as a line; return the last one."""
    last: dag_runs.Progress | None = None
    with Live(console=ERR, transient=True, refresh_per_second=4) as live:
        for last in looks:
            live.update(run_picture(last))
            for line in retries.lines(last):
                ERR.print(visible(line), markup=False)
    assert last is not None
    return last


COMMANDS = (run, airflow)
