"""Runs in: your shell; `kit limits` and `kit breakers`: who may begin, and what operators decide about it."""

import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from airflow_celery_kit import check_names
from airflow_celery_kit.cli.display import ERR, OUT, print_json
from airflow_celery_kit.cli.guard_lines import breaker_table, limit_notes, limit_table
from airflow_celery_kit.cli.machine_commands import json_option
from airflow_celery_kit.cli.record_commands import asked, done, sent
from airflow_celery_kit.cli.visible import visible
from airflow_celery_kit.core.guards.reasons import flaw
from airflow_celery_kit.core.words import count
from airflow_celery_kit.errors import BadInputError, ConfigurationError, KitError
from airflow_celery_kit.guards import limits_file
from airflow_celery_kit.settings import Settings, find_root


def reason_given(context: click.Context, parameter: click.Parameter, reason: str) -> str:
    """Return a reason. Raises BadInputError for one that is empty or too long."""
    if wrong := flaw(reason):
        raise BadInputError(f"--reason: {wrong}")
    return reason


reason_option = click.option(
    "--reason",
    required=True,
    callback=reason_given,
    help="Why, in 500 characters at most; it is shown to whoever waits, and kept on record.",
)
token_option = click.option("--of", "token", default="", help="Which one, where the breaker is counted by something.")


@click.group()
def limits() -> None:
    """How many tasks may be under way at once, how many may begin in a time, and what is suspended."""


@click.group()
def breakers() -> None:
    """Which services get a rest because they failed."""


@limits.command("list")
@json_option
def list_limits(as_json: bool) -> None:
    """List limits with what they hold and what waits for them. Exit code 1 while config/limits.yaml cannot be used, and an older one is in force."""
    found = asked("/limits", {})
    if as_json:
        print_json(found)
    else:
        OUT.print(limit_table(found["limits"]) if found["limits"] else "There is no limit: see config/limits.yaml.")
    for note in limit_notes(found):
        ERR.print(note, markup=False)
    if found["file"]["problem"]:
        sys.exit(KitError.exit_code)


@limits.command("suspend")
@click.argument("name")
@reason_option
@json_option
def suspend_limit(name: str, reason: str, as_json: bool) -> None:
    """Let nothing of a limit begin, or of dag:ID, task:DAG.TASK, pool:NAME or queue:NAME, until 'kit limits resume'."""
    found = sent(f"/limits/{quote(name, safe='')}/suspend", {"reason": reason})
    done(found, suspended_line(name, found["taken_back"]), as_json)


@limits.command("resume")
@click.argument("name")
@reason_option
@json_option
def resume_limit(name: str, reason: str, as_json: bool) -> None:
    """Let what is suspended begin again."""
    found = sent(f"/limits/{quote(name, safe='')}/resume", {"reason": reason})
    done(found, f"{name} goes on, {count(found['waiting'], 'task')} waited", as_json)


@limits.command("check")
@json_option
def check_limits(as_json: bool) -> None:
    """Check config/limits.yaml without putting it in force; each mistake is named with line and column.

    A health check that nobody makes is a warning: it may be one of your own that comes with the next start.
    """
    path = find_root() / "config" / "limits.yaml"
    rules = limits_file.load(path)
    names = {"limits": sorted(rules.limits), "breakers": sorted(rules.breakers)}
    numbers = f"{count(len(rules.limits), 'limit')}, {count(len(rules.breakers), 'breaker')}"
    sentence = f"config/limits.yaml can be used: {numbers}"
    done(names, sentence, as_json)
    for warning in unknown_checks(path):
        ERR.print(visible(warning), markup=False)


def unknown_checks(path: Path) -> list[str]:
    """Return a line for each health check that a breaker goes by and nobody makes; none where `.env` does not say which there are."""
    try:
        return limits_file.unknown_checks(path, check_names.known(Settings.load(path.parents[1])))
    except ConfigurationError:
        return []


@breakers.command("list")
@json_option
def list_breakers(as_json: bool) -> None:
    """List breakers with their state, and what waits for them."""
    found = asked("/breakers", {})
    if as_json:
        return print_json(found)
    OUT.print(breaker_table(found["breakers"]) if found["breakers"] else "There is no breaker: see config/limits.yaml.")


@breakers.command("show")
@click.argument("name")
@json_option
def show_breaker(name: str, as_json: bool) -> None:
    """Show one breaker: its state, why, and its rule."""
    found = asked(f"/breakers/{quote(name, safe='')}", {})
    if as_json:
        return print_json(found)
    OUT.print(breaker_table(found["breakers"]))
    OUT.print(visible(rule_line(found["breakers"][0])), markup=False)


@breakers.command("trip")
@click.argument("name")
@reason_option
@token_option
@click.option(
    "--seconds", type=click.FloatRange(0.1, 31_536_000), help="How long it stays open; its own time by default."
)
@json_option
def trip_breaker(name: str, reason: str, token: str, seconds: float | None, as_json: bool) -> None:
    """Open a breaker: its tasks wait, and after its time one of them tries it out."""
    body: dict[str, Any] = {"reason": reason, "token": token, "seconds": seconds}
    done(sent(f"/breakers/{quote(name, safe='')}/trip", body), f"{name} is open", as_json)


@breakers.command("reset")
@click.argument("name")
@reason_option
@token_option
@json_option
def reset_breaker(name: str, reason: str, token: str, as_json: bool) -> None:
    """Close a breaker that is open or half-open."""
    body = {"reason": reason, "token": token}
    done(sent(f"/breakers/{quote(name, safe='')}/reset", body), f"{name} is closed", as_json)


def suspended_line(name: str, taken_back: int) -> str:
    """Return that a limit is suspended, and how many tasks go back to where they waited."""
    waits = "waits" if taken_back == 1 else "wait"
    return f"{name} is suspended, {count(taken_back, 'task')} that {'was' if taken_back == 1 else 'were'} due {waits} again"


def rule_line(one: dict[str, Any]) -> str:
    """Return where a breaker's rule comes from and what it says."""
    where = {"file": "config/limits.yaml", "dag": "a Dag", "hand": "an operator"}[one["origin"]]
    said = ", ".join(f"{name}: {value}" for name, value in one["rule"].items() if name != "when") or "the usual values"
    return f"{where} says: {said}"


COMMANDS = (limits, breakers)
