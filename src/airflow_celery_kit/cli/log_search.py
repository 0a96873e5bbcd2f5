"""Runs in: your shell; searches what the services' logs keep, by time, across all of them."""

import heapq
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import click

from airflow_celery_kit.cli.display import print_json
from airflow_celery_kit.cli.visible import visible
from airflow_celery_kit.core.log_lines import LEVELS, Entry, Wanted, entries, moment
from airflow_celery_kit.errors import BadInputError

Logs = Mapping[str, Iterable[str]]


def wanted(search: str, since: str | None, until: str | None, level: str | None) -> Wanted:
    """Return what a person looks for. Raises BadInputError for a time that is none."""
    now = datetime.now().astimezone()
    return Wanted(search, _at("--since", since, now), _at("--until", until, now), level or LEVELS[0])


def found(logs: Logs, looked_for: Wanted, local: bool) -> Iterable[Entry]:
    """Return what is looked for of all logs, in the order of time.

    `local` says that times without a zone are this machine's; in containers they are UTC.
    """
    zone = datetime.now().astimezone().tzinfo if local else UTC
    each = (filter(looked_for.takes, entries(name, lines, zone)) for name, lines in logs.items())
    return heapq.merge(*each, key=lambda one: one.at)


def show(some: Iterable[Entry], as_json: bool) -> bool:
    """Print it, with this machine's time; return whether there is any."""
    if as_json:
        each = [one.as_dict() for one in some]
        print_json(each)
        return bool(each)
    shown = False
    for one in some:
        line = f"{one.at.astimezone():%Y-%m-%d %H:%M:%S} {one.level:<8} {one.instance} | {one.text}"
        click.echo(visible(line))
        shown = True
    return shown


def _at(option: str, said: str | None, now: datetime) -> datetime | None:
    try:
        return moment(said, now) if said else None
    except (ValueError, OverflowError) as problem:
        raise BadInputError(f"{option} {said} is no time: say '15m', '2h', '3d' or '2026-01-31T12:00'") from problem
