"""Runs in: airflow-apiserver; everything that Prometheus reads, made anew for each scrape from the two databases.

A new kind of metric is a module with FAMILIES and `samples`, named once in FAMILIES and once in `text`.
"""

from itertools import chain
from typing import Any

from airflow_celery_kit.api import snapshot
from airflow_celery_kit.api.metrics import controllers, guards, health, housekeeping, queues, tasks, users, workers
from airflow_celery_kit.api.metrics.families import Family, lines
from airflow_celery_kit.journal.reader import Reader

FAMILIES: dict[str, Family] = {
    **queues.FAMILIES,
    **workers.FAMILIES,
    **tasks.FAMILIES,
    **controllers.FAMILIES,
    **housekeeping.FAMILIES,
    **guards.FAMILIES,
    **health.FAMILIES,
}


def text(session: Any, journal: Reader | None) -> bytes:
    """Return what there is to scrape. `session` is one of SQLAlchemy's on the metadata database, `journal` its reader where there is one."""
    seen = snapshot.read(session)
    found = chain(
        queues.samples(seen),
        workers.samples(seen),
        tasks.samples(journal),
        controllers.samples(session),
        housekeeping.samples(session),
        guards.samples(session),
        health.samples(session),
    )
    return "".join(chain(lines(FAMILIES, found), users.lines(journal))).encode()
