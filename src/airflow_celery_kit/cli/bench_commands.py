"""Runs in: your shell; `kit bench`, the benchmark of a development checkout, which takes this process's place."""

import os
import sys
from pathlib import Path

import click

from airflow_celery_kit.errors import MachineError
from airflow_celery_kit.settings import find_root

BENCHMARK = Path("tests", "benchmarks", "bench.py")
MODULE = "tests.benchmarks.bench"


@click.command()
@click.option("--loads", help="Loads, comma-separated, such as a,b,i; those of 'make bench' when left out.")
@click.option(
    "--pairs", type=click.IntRange(min=1), help="Pairs of each load; as many as the load asks for when left out."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def bench(loads: str | None, pairs: int | None, as_json: bool) -> None:
    """Measure the kit beside stock settings, without Docker, as 'make bench' does. Exit code 1 when a bar is missed."""
    root = find_root()
    if not (root / BENCHMARK).is_file():
        raise MachineError(f"{root} has no {BENCHMARK}: clone the kit's Git repository and run 'kit bench' there")
    # Takes this process's place: an interrupt then reaches the one process that has stacks to remove.
    os.chdir(root)
    os.execv(sys.executable, [sys.executable, "-m", MODULE, *arguments(loads, pairs, as_json)])


def arguments(loads: str | None, pairs: int | None, as_json: bool) -> list[str]:
    """Return the benchmark's own options; what was left out is the benchmark's to decide."""
    named = [f"--loads={loads}"] if loads is not None else []
    numbered = [f"--pairs={pairs}"] if pairs is not None else []
    return [*named, *numbered, *(["--json"] if as_json else [])]


COMMANDS = (bench,)
