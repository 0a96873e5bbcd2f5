"""Runs in: your shell; the commands that start, stop, scale and show the stack."""

import sys
import time
from collections.abc import Callable
from typing import Any

import click

from airflow_celery_kit import env_file, housekeeping, rules
from airflow_celery_kit import status as look
from airflow_celery_kit.cli import log_search
from airflow_celery_kit.cli.display import ERR, OUT, Steps, print_json, status_report, steps
from airflow_celery_kit.cli.machine_commands import json_option
from airflow_celery_kit.cli.visible import visible
from airflow_celery_kit.core.log_lines import LEVELS
from airflow_celery_kit.errors import BadInputError, ConfigurationError, KitError, NotReadyError
from airflow_celery_kit.exclusive import exclusive
from airflow_celery_kit.guards import limits_file
from airflow_celery_kit.initialise import initialise
from airflow_celery_kit.knobs import KNOBS
from airflow_celery_kit.machine import Machine
from airflow_celery_kit.runtimes import services
from airflow_celery_kit.runtimes.base import Runtime
from airflow_celery_kit.runtimes.choose import choose, preflight
from airflow_celery_kit.runtimes.embedded import Embedded
from airflow_celery_kit.settings import Settings, find_root

POLL_SECONDS = 2.0


def opened(choice: Any) -> tuple[Settings, Runtime]:
    """Return the checkout's settings and the runtime that this call means."""
    settings = Settings.load()
    return settings, choose(settings, choice.runtime)


def opened_to_stop(choice: Any) -> tuple[Settings, Runtime]:
    """Return what `opened` does; without a usable `.env` the embedded runtime, which needs no secret to stop."""
    try:
        return opened(choice)
    except ConfigurationError:
        if choice.runtime == "compose":
            raise
        settings = Settings(find_root(), {name: knob.default for name, knob in KNOBS.items()})
        return settings, Embedded(settings)


def show(settings: Settings, seen: look.Status, as_json: bool) -> None:
    """Print a status, with what waits in the broker, for programs or for people."""
    seen = look.with_queues(settings, seen)
    if as_json:
        print_json(seen.as_dict())
    else:
        OUT.print(status_report(seen))


def wait_ready(settings: Settings, runtime: Runtime, shown: Steps, seconds: float) -> look.Status:
    """Return the status once the stack is ready. Raises NotReadyError that says what is missing and where to look."""
    return wait_until(lambda: look.collect(settings, runtime), lambda seen: seen.reasons, shown, seconds)


def wait_until(
    collect: Callable[[], look.Status],
    lacks: Callable[[look.Status], tuple[look.Reason, ...]],
    shown: Steps,
    seconds: float,
) -> look.Status:
    """Return the first status that lacks nothing. Raises NotReadyError that says what is missing and where to look."""
    deadline = time.monotonic() + seconds
    while True:
        begun = time.monotonic()
        seen = collect()
        reasons = lacks(seen)
        shown.show(seen.services, reasons)
        if not reasons:
            return seen
        if time.monotonic() > deadline:
            told = "; ".join(reason.text for reason in reasons[:3])
            raise NotReadyError(f"not ready after {seconds:.0f} s: {told}; {reasons[0].cure}")
        # On a machine that is busy starting, a look at everything takes long, and CPU from what it waits for.
        time.sleep(max(POLL_SECONDS, 2 * (time.monotonic() - begun)))


@click.command()
@click.option("--workers", type=click.IntRange(0, 500), help="Number of airflow-worker instances; recorded in .env.")
@click.option(
    "--timeout",
    envvar="KIT_UP_TIMEOUT",
    show_envvar=True,
    default=300.0,
    show_default=True,
    help="Seconds to wait until everything is healthy.",
)
@json_option
@click.pass_obj
def up(choice: Any, workers: int | None, timeout: float, as_json: bool) -> None:
    """Start the stack and wait until it is healthy and a worker has registered. Safe to call again."""
    root = find_root()
    preflight(choice.runtime)
    Machine.here(root).require()
    with exclusive(root), steps() as shown:
        settings = initialise(root, shown.say)
        rules.load(root / "config" / "routing.yaml")
        housekeeping.load(root / "config" / "housekeeping.yaml")
        limits_file.load(root / "config" / "limits.yaml")
        runtime = choose(settings, choice.runtime)
        if workers is not None:
            settings = env_file.record(settings, {"WORKERS": str(workers)})
            runtime = choose(settings, runtime.name)
        runtime.start(shown.say)
        settings = Settings.load(root)
        seen = wait_ready(settings, runtime, shown, timeout)
    show(settings, seen, as_json)
    if as_json:
        return
    OUT.print(
        f"Log in as {settings['AIRFLOW_ADMIN_USER']}; the password is AIRFLOW_ADMIN_PASSWORD in {settings.env_file}."
    )
    click.echo(f"Flower: {settings['FLOWER_USER']}, FLOWER_PASSWORD in the same file.")


@click.command()
@click.option("--delete-data", is_flag=True, help="Also remove databases, queue and logs.")
@click.option("--yes", is_flag=True, help="Do not ask before data is removed.")
@click.pass_obj
def down(choice: Any, delete_data: bool, yes: bool) -> None:
    """Stop the stack; workers finish their tasks first. Data stays unless --delete-data says otherwise."""
    settings, runtime = opened_to_stop(choice)
    if delete_data and not yes:
        if not sys.stdin.isatty():
            raise BadInputError("--delete-data removes every Dag run and log: add --yes to mean it")
        click.confirm(f"Remove all data of {settings.project} ({runtime.name})?", abort=True)
    with exclusive(settings.root), steps() as shown:
        runtime.down(shown.say, delete_data)
    click.echo("The stack is down." + (" Its data is gone." if delete_data else " Its data stays."))


@click.command()
@json_option
@click.pass_obj
def status(choice: Any, as_json: bool) -> None:
    """Show every part, the registered workers, and why the stack is not ready. Exit code 6 when it is not, 5 when it is down."""
    settings, runtime = opened(choice)
    seen = look.collect(settings, runtime)
    show(settings, seen, as_json)
    sys.exit(0 if seen.ready else 6 if seen.services else 5)


@click.command()
@click.argument("instances", nargs=-1)
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until interrupted.")
@click.option(
    "-n", "--lines", default=100, show_default=True, type=click.IntRange(0, 1_000_000), help="Lines of each instance."
)
@click.option("--search", default="", help="Only what holds these words, in any case.")
@click.option("--since", help="Only from a time on: `15m`, `2h` or `3d` ago, or ISO 8601. Also what was rotated.")
@click.option("--until", help="Only up to a time.")
@click.option("--level", type=click.Choice(LEVELS), help="Only what is at least so urgent.")
@json_option
@click.pass_obj
def logs(choice: Any, instances: tuple[str, ...], follow: bool, lines: int, as_json: bool, **asked: Any) -> None:
    """Show the logs of the named services or instances, or of all; with one of the last options search all that is kept, by time.

    Exit code 1 where a search finds nothing, as of grep.
    """
    _, runtime = opened(choice)
    if as_json or any(asked.values()):
        if follow:
            raise BadInputError("--follow shows what comes, and a search what is there: leave one of them out")
        wanted = log_search.wanted(**asked)
        found = log_search.found(runtime.history(list(instances)), wanted, local=runtime.name == "embedded")
        if not log_search.show(found, as_json):
            ERR.print("Nothing in the logs fits.")
            sys.exit(KitError.exit_code)
        return
    for line in runtime.logs(list(instances), follow, lines):
        click.echo(visible(line))


@click.command()
@click.argument("workers", type=click.IntRange(0, 500))
@click.option("--timeout", default=300.0, show_default=True, help="Seconds to wait until everything is healthy.")
@json_option
@click.pass_obj
def scale(choice: Any, workers: int, timeout: float, as_json: bool) -> None:
    """Have this many airflow-worker instances; recorded in .env, and none of the others restarts."""
    settings, runtime = opened(choice)
    with exclusive(settings.root), steps() as shown:
        runtime.scale(workers, shown.say)
        settings = Settings.load(settings.root)
        seen = wait_ready(settings, choose(settings, runtime.name), shown, timeout)
    show(settings, seen, as_json)


@click.command()
@click.argument("instance")
@click.pass_obj
def stop(choice: Any, instance: str) -> None:
    """Stop one instance as its supervisor would. 'kit up' starts it again. For workers there is 'kit drain'."""
    settings, runtime = opened(choice)
    with exclusive(settings.root), steps() as shown:
        runtime.stop([services.resolve(instance, runtime.names())], shown.say)
    click.echo(f"{instance} has stopped; 'kit up' starts it again.")


@click.command()
@click.argument("instance")
@click.pass_obj
def kill(choice: Any, instance: str) -> None:
    """Kill one instance's whole process tree, as a crash would; its supervisor starts a new one."""
    settings, runtime = opened(choice)
    with exclusive(settings.root):
        runtime.kill(instance)
    click.echo(f"{instance} was killed; its supervisor starts it again.")


COMMANDS = (up, down, status, logs, scale, stop, kill)
