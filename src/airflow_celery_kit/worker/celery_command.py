"""Runs in: whatever runs Celery's command line, so each worker, which loads the commands that are registered with it; `celery kit`.

This is how an Airflow that was set up without the kit has its workers keep a journal: no setting of Celery's names the kit there.
"""

import os
import sys
from typing import Any

import click
from celery.signals import celeryd_init

from airflow_celery_kit import patching
from airflow_celery_kit.journal.teller import ADDRESS, is_wanted

# Imported by workers with the kit's own settings, which do more.
WHOLE = "airflow_celery_kit.worker.signals"


@celeryd_init.connect
def set_up(instance: Any, **_: object) -> None:
    """Called before a worker forks anything; one that cannot keep a journal works all the same."""
    if is_wanted(os.environ) and WHOLE not in sys.modules:
        patching.attempt((lambda: keep_a_journal(instance),))


def keep_a_journal(worker: Any) -> None:
    """Keep a journal in a worker."""
    from airflow_celery_kit.worker import alone

    alone.install(worker)


@click.command()
def kit() -> None:
    """Say whether workers that are started like this keep the kit's journal."""
    click.echo("the journal is kept" if is_wanted(os.environ) else f"no journal is kept: {ADDRESS} is not set")
