"""Runs in: scheduler, workers and task processes; says what happens, to a spool, and never disturbs who says it."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from os import environ
from pathlib import Path
from types import MappingProxyType
from typing import Any

from airflow_celery_kit import instance
from airflow_celery_kit.core.journal.events import Event, Kind, Source, Subject
from airflow_celery_kit.journal.spool import Spool

log = logging.getLogger(__name__)

# Where the journal is (libpq's address), and the folder in which events wait for it. Without both there is none.
ADDRESS, FOLDER = "KIT_JOURNAL_CONN", "KIT_SPOOL_DIR"
SWITCH, OFF = "KIT_JOURNAL", "off"
# What tasks were given and say may lie here for a moment.
ALONE = "kit-spool"


@dataclass
class Teller:
    """One voice; `spool` is None where no journal is kept. `lost` counts what no disk took since the last that one did."""

    source: Source
    spool: Spool | None
    worker: str | None = None
    lost: int = 0

    def tell(self, kind: str, subject: Subject, facts: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Keep an event that happens now. What cannot be kept is counted, said in the log, and on record with the next one that can."""
        if self.spool is None:
            return
        now = time.time()
        said = [Event(kind, self.source, now, subject, self.worker, dict(facts))]
        gap = [Event(Kind.GAP, self.source, now, Subject(), self.worker, {"lost": self.lost})] if self.lost else []
        try:
            self.spool.append([event.line() for event in said + gap])
            self.lost = 0
        except (OSError, TypeError, ValueError) as problem:
            self.lost += 1
            log.warning("the journal lost an event (%s, %d so far): %s", kind, self.lost, problem)


def is_on(environment: Mapping[str, str]) -> bool:
    """Return whether a journal is to be kept; it is where nobody says otherwise."""
    return environment.get(SWITCH) != OFF


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Return whether somebody has said where the journal is, and that one is to be kept."""
    return bool(environment.get(ADDRESS)) and is_on(environment)


def stand_alone(home: str, part: str, name: str) -> None:
    """Name this instance, and a folder below `home`, for this process and its children where nobody has: only the address need be set."""
    environ.setdefault("KIT_INSTANCE", name.replace("/", "_"))
    if not environ.get(FOLDER):
        spool = Path(home, ALONE)
        spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        environ[FOLDER] = str(spool / part)


def spool_of(environment: Mapping[str, str]) -> Spool | None:
    """Return the spool that an environment names, None where no journal is kept. Raises OSError when its folder cannot be made."""
    if not (is_wanted(environment) and environment.get(FOLDER)):
        return None
    folder = Path(environment[FOLDER])
    folder.mkdir(parents=True, exist_ok=True)
    return Spool(folder, instance.name())


@cache
def teller(source: Source) -> Teller:
    """Return this process's voice for a source; a folder that cannot be made leaves it without one, with a warning."""
    try:
        spool = spool_of(environ)
    except OSError as problem:
        log.warning("no journal is kept here: %s", problem)
        spool = None
    return Teller(source, spool, instance.name() if source in (Source.WORKER, Source.CODE) else None)
