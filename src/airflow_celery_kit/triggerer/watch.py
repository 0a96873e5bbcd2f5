"""Runs in: airflow-triggerer, in a thread; starts a round of housekeeping when the controller asks for one, or when the disk is full.

The triggerer is what has the metadata database and the logs anyway, and nothing of a task's way waits for it.
"""

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from airflow_celery_kit import rounds
from airflow_celery_kit.core.housekeeping import Limits
from airflow_celery_kit.scheduler.wake import connect
from airflow_celery_kit.triggerer.logs import share_used

log = logging.getLogger(__name__)

EVERY_SECONDS = 20.0
# After a round that was cut short, and after one that died or found the disk full.
GO_ON_SECONDS, AGAIN_SECONDS = 60.0, 600.0
COMMAND = [sys.executable, "-m", "airflow_celery_kit.triggerer.housekeeping", "--asked"]


def due(facts: Mapping[str, Any], now: float, used: float) -> str:
    """Return why a round is to begin, nothing where none is. `used` is how full the disk with the logs is, 0 to 1.

    Until the controller has said what the limits are, nothing is removed.
    """
    if not (asked := facts.get("asked_at")):
        return ""
    last = facts.get("airflow", {})
    begun, ended = last.get("begun_at", 0.0), last.get("ended_at") or 0.0
    if begun < asked:
        return "asked"
    if not last.get("complete", True) and now - max(begun, ended) > (
        GO_ON_SECONDS if ended >= begun else AGAIN_SECONDS
    ):
        return "not complete"
    if used > Limits(facts.get("limits", {}))["disk"] and now - begun > AGAIN_SECONDS:
        return "disk"
    return ""


class Watch:
    """Looks now and then; one round at a time."""

    def __init__(self, folder: Path, open_: Callable[[], Any] = connect, every: float = EVERY_SECONDS) -> None:
        self.folder, self.open, self.every = folder, open_, every
        self.left = threading.Event()
        self.problem, self.full = "", False

    def start(self) -> None:
        """Begin, in a thread that does not keep the process from ending."""
        threading.Thread(target=self.run, name="housekeeping", daemon=True).start()

    def run(self) -> None:
        """Look until `left` is set. Whatever goes wrong is said once: it must not stop a triggerer."""
        while not self.left.wait(self.every):
            try:
                self.look()
            except Exception as problem:
                self._fails(str(problem).strip() or type(problem).__name__)

    def look(self) -> None:
        """Start a round where one is due and wait for its end. Raises psycopg2.Error, OSError."""
        with closing(self.open()) as connection, connection, connection.cursor() as cursor:
            facts = rounds.read(cursor)
        used = share_used(self.folder)
        self._say_full(used, Limits(facts.get("limits", {})))
        if due(facts, time.time(), used):
            ended = subprocess.run(COMMAND, capture_output=True, text=True, check=False)
            if ended.returncode:
                self._fails((ended.stderr.strip() or "it died").splitlines()[-1])
            else:
                self.problem = ""
                self._say(json.loads(ended.stdout.splitlines()[-1]))

    def _say(self, found: Mapping[str, Any]) -> None:
        removed = {row["what"]: row["removed"] for row in found["rows"] if row["removed"]}
        if removed or found["errors"]:
            log.info(
                "housekeeping removed %s, %s", removed or "nothing", "; ".join(found["errors"]) or "without errors"
            )

    def _say_full(self, used: float, limits: Limits) -> None:
        full = used > limits["disk"]
        if full and not self.full:
            log.warning(
                "the disk with the logs is %.0f %% full, more than %s: logs go sooner", used * 100, limits.word("disk")
            )
        elif self.full and not full:
            log.warning("the disk with the logs has room again")
        self.full = full

    def _fails(self, reason: str) -> None:
        if reason != self.problem:
            log.warning("housekeeping cannot be done: %s", reason)
        self.problem = reason


def install() -> None:
    """Begin to look, in a triggerer."""
    from airflow.configuration import conf

    Watch(Path(conf.get_mandatory_value("logging", "base_log_folder"))).start()
