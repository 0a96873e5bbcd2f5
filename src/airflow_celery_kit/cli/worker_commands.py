"""Runs in: your shell; `kit drain` and `kit resume`, which stop and start workers, and `kit workers`, which lets them rest where they are."""

from typing import Any
from urllib.parse import quote

import click

from airflow_celery_kit import status as look
from airflow_celery_kit.cli.display import ERR, OUT, print_json, steps
from airflow_celery_kit.cli.machine_commands import json_option
from airflow_celery_kit.cli.record_commands import asked, done, sent
from airflow_celery_kit.cli.record_lines import worker_table
from airflow_celery_kit.cli.stack_commands import opened, show, wait_until
from airflow_celery_kit.cli.visible import visible
from airflow_celery_kit.exclusive import exclusive
from airflow_celery_kit.runtimes import services

named_workers = click.argument("named", nargs=-1, metavar="[WORKER]...")


@click.command()
@named_workers
@json_option
@click.pass_obj
def drain(choice: Any, named: tuple[str, ...], as_json: bool) -> None:
    """Let workers take no new task, finish what they run, and stop; they stay stopped. 'kit resume' brings them back."""
    settings, runtime = opened(choice)
    workers = services.workers(list(named), runtime.names())
    with exclusive(settings.root), steps() as shown:
        try:
            runtime.stop(workers, shown.say)
        except KeyboardInterrupt as problem:
            raise click.Abort(
                "interrupted; workers that were told to leave finish their tasks and stop: see 'kit status'"
            ) from problem
    if as_json:
        show(settings, look.collect(settings, runtime), as_json)
    else:
        click.echo(f"Drained and stopped: {', '.join(workers)}. To bring back what is stopped: 'kit resume'.")


@click.command()
@named_workers
@click.option("--timeout", default=120.0, show_default=True, help="Seconds to wait until the workers are healthy.")
@json_option
@click.pass_obj
def resume(choice: Any, named: tuple[str, ...], timeout: float, as_json: bool) -> None:
    """Start the workers that are stopped and wait until they take tasks again. Safe to call again."""
    settings, runtime = opened(choice)
    workers = services.workers(list(named), runtime.names())

    def collect() -> look.Status:
        """Start whoever does not run, also one that had still to leave, and look."""
        seen = look.collect(settings, runtime)
        runtime.start_instances([one.instance for one in seen.services if one.instance in workers and not one.pid])
        return seen

    with exclusive(settings.root), steps() as shown:
        seen = wait_until(collect, lambda seen: seen.away(workers), shown, timeout)
    if as_json:
        show(settings, seen, as_json)
    else:
        click.echo(f"Healthy and registered: {', '.join(workers)}.")


@click.group("workers")
def workers_group() -> None:
    """What workers do, and which of them are to take no task."""


@workers_group.command("list")
@json_option
def list_workers(as_json: bool) -> None:
    """List workers with what they do."""
    found = asked("/workers", {})
    if as_json:
        return print_json(found)
    if found["stale"]:
        ERR.print(visible(found["reason"]), markup=False)
    OUT.print(worker_table(found["workers"]) if found["workers"] else "No worker reports.")


@workers_group.command("drain")
@click.argument("name")
@json_option
def drain_worker(name: str, as_json: bool) -> None:
    """Let a worker take no task and stay as it is, also when it starts again, until 'kit workers resume'."""
    done(
        sent(f"/workers/{quote(name, safe='')}/drain"),
        f"{name} takes no further task: 'kit workers list' says when it is drained",
        as_json,
    )


@workers_group.command("resume")
@click.argument("name")
@json_option
def resume_worker(name: str, as_json: bool) -> None:
    """Let a worker take tasks again."""
    done(sent(f"/workers/{quote(name, safe='')}/resume"), f"{name} takes tasks again", as_json)


COMMANDS = (drain, resume, workers_group)
