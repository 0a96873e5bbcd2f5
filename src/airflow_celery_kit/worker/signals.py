"""Runs in: Celery workers (Flower imports it too); what the kit adds to a worker, connected to Celery's signals."""

import gc
import logging
import multiprocessing
import os
import shutil
import sys
from functools import partial
from typing import Any

from billiard import util
from celery.signals import celeryd_init, worker_process_init, worker_shutdown

from airflow_celery_kit import patching, preload
from airflow_celery_kit.worker import (
    adapters,
    canary,
    control_connection,
    deadline,
    holding,
    log_levels,
    parent_death,
    reconnecting,
    record,
    reports,
    slots,
    task_supervisor,
)


@celeryd_init.connect
def set_up(instance: Any, **_: object) -> None:
    """Prepare a worker before it forks anything: reports to the controller, and children that die with their parent."""
    parent_death.install()
    reports.install(instance.app)
    changes = (holding.install, slots.install, canary.install)
    patching.attempt(partial(change, instance.app) for change in changes)
    patching.attempt((record.install, control_connection.install, reconnecting.install))


@celeryd_init.connect
def prepare_forks(**_: object) -> None:
    """Load and change before the forks what Airflow's tasks would load, and build, each for itself."""
    patching.attempt(
        (task_supervisor.install, deadline.install, log_levels.install, preload.for_tasks, adapters.install)
    )


@worker_shutdown.connect
def leave(sender: Any, **_: object) -> None:
    """End the process, once Celery has stopped everything; the interpreter takes two seconds to tear down what the kernel frees at once.

    The beat file goes first: a worker that has left must not look alive for the rest of the threshold. What the interpreter
    would have ended and removed goes too: the process in which Airflow tidies Dag bundles, and the folder for shared memory.
    """
    if path := reports.beat_file():
        path.unlink(missing_ok=True)
    record.leave()
    for child in multiprocessing.active_children():
        child.terminate()
    shutil.rmtree(util.get_temp_dir(), ignore_errors=True)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(sender.exitcode or 0)


@worker_process_init.connect
def freeze(**_: object) -> None:
    """Leave what was loaded out of the garbage collector's sight: looking at it would copy the memory that forks share."""
    gc.freeze()
