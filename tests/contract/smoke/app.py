"""Runs in: contract tests, the Celery workers under test; the kit's settings on a plain Celery app, without Airflow.

A task leaves a line in the receipts for what it does, and goes on when the test opens its gate, which is a file.
"""

import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from celery import Celery, shared_task, signals
from celery.exceptions import SoftTimeLimitExceeded
from celery.worker import request

from airflow_celery_kit.worker import broker

QUEUE = "default"
LIMIT_SECONDS = 2


def make_app(url: str, **more: Any) -> Celery:
    """Return an app with what the kit and Airflow's provider set; `more` comes last."""
    app = Celery("smoke", broker=url, set_as_current=False)
    app.conf.update(
        broker_transport_options={"visibility_timeout": 3600} | broker.TRANSPORT_OPTIONS,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        imports=["airflow_celery_kit.worker.signals"],
        task_acks_late=True,
        task_default_queue=QUEUE,
        task_publish_retry_policy=broker.PUBLISH_RETRY_POLICY,
        worker_prefetch_multiplier=1,
        worker_send_task_events=True,
        **broker.credentials(),
    )
    app.conf.update(more)
    return app


def leave(what: str, name: str) -> None:
    """Add a line to the receipts, whole whoever else writes at the same moment."""
    receipts = os.open(Path(os.environ["SMOKE_FOLDER"]) / "receipts", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(receipts, f"{what} {name} {os.getpid()}\n".encode())
    os.close(receipts)


def wait_at(gate: str) -> None:
    """Return once the test has opened the gate."""
    while not (Path(os.environ["SMOKE_FOLDER"]) / f"{gate}.open").exists():
        time.sleep(0.02)


@shared_task(name="note")
def note(name: str) -> None:
    """Finish at once."""
    leave("end", name)


@shared_task(name="hold")
def hold(name: str, stubborn: bool = False) -> None:
    """Run until the gate of this name opens; a stubborn one ignores SIGTERM."""
    if stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    leave("start", name)
    wait_at(name)
    leave("end", name)


@shared_task(name="kill_self")
def kill_self(name: str) -> None:
    """Die as by the kernel's memory killer."""
    leave("start", name)
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task(name="exit_self")
def exit_self(name: str) -> None:
    """End the process that runs the task."""
    leave("start", name)
    sys.exit(1)


@shared_task(name="overrun", time_limit=LIMIT_SECONDS)
def overrun(name: str) -> None:
    """Run past the hard time limit."""
    hold(name)


@shared_task(name="overrun_softly", soft_time_limit=LIMIT_SECONDS, time_limit=300)
def overrun_softly(name: str) -> None:
    """Run past the soft time limit and say so."""
    try:
        hold(name)
    except SoftTimeLimitExceeded:
        leave("soft", name)
        raise


@shared_task(name="upside_down", soft_time_limit=LIMIT_SECONDS + 1, time_limit=LIMIT_SECONDS)
def upside_down(name: str) -> None:
    """Its limits make no sense."""
    leave("end", name)


@shared_task(name="execute_workload")
def execute_workload(workload: str) -> None:
    """Stand for Airflow's task on Celery, as which this name is known; the task's id says what it does."""
    what = json.loads(workload)["ti"]["task_id"]
    if what == "breaks":
        raise RuntimeError("the bridge is down")
    {"ends": note, "kills": kill_self, "holds": hold}[what](what)


WORKER_SIGNALS = ("worker_init", "worker_process_init", "worker_ready", "worker_process_shutdown", "worker_shutdown")


def listen() -> None:
    """Leave a receipt for each signal of a worker's life."""
    for name in WORKER_SIGNALS:
        getattr(signals, name).connect(lambda *, said=name, **_: leave("signal", said), weak=False)


def run(app: Celery, **options: Any) -> int | None:
    """Run a worker as `celery worker` does, which would also import the commands of every plugin; return its exit code.

    It says when it hears that a task has begun: a test that waits for the task alone is ahead of the worker.
    """
    request.logger.setLevel(logging.DEBUG)
    request.__optimize__()
    worker = app.Worker(**{"loglevel": "INFO", "pool_cls": "prefork", "optimization": "fair"} | options)
    worker.start()
    return worker.exitcode


def leave_airflow_out() -> None:
    """Load nothing for Airflow's tasks, of which there are none: it takes longer than all else that a worker does here."""
    from airflow_celery_kit.worker import signals as kit

    signals.celeryd_init.disconnect(kit.prepare_forks)


if __name__ == "__main__":
    listen()
    given = json.loads(os.environ["SMOKE_SETTINGS"])
    if "imports" not in given:
        leave_airflow_out()
    sys.exit(run(make_app(os.environ["SMOKE_BROKER"], **given), **json.loads(sys.argv[1])))
