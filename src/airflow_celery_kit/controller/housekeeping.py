"""Runs in: airflow-controller; removes what nobody needs any more, round after round, and asks airflow-triggerer for its part.

The controller's roles reach Celery's results and the broker's keys. Airflow's own tables and the logs belong to processes that own them
anyway: one of them does what this loop asks for (triggerer/watch.py), and no role gets a right for it.

`python -m airflow_celery_kit.controller.housekeeping` does this part of a round now and prints it as JSON; `--dry-run` removes nothing.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import valkey
from psycopg2.extras import Json

from airflow_celery_kit import rounds
from airflow_celery_kit.controller import orphan_keys, results
from airflow_celery_kit.controller.database import Fence
from airflow_celery_kit.controller.lease import LeaseLostError
from airflow_celery_kit.controller.sight import Connections
from airflow_celery_kit.core.housekeeping import Limits
from airflow_celery_kit.database_words import plainly
from airflow_celery_kit.errors import ConfigurationError
from airflow_celery_kit.housekeeping import VARIABLE, Watched, from_environment
from airflow_celery_kit.rounds import Facts, Round

Say = Callable[..., None]
# The file is looked at this often. The other chores wait for a round; what is left of it is done a minute later.
EVERY_SECONDS, TURN_SECONDS, GO_ON_SECONDS = 10.0, 5.0, 60.0
REST_SECONDS = 0.05
# Somebody waits for it at a terminal.
BY_HAND_SECONDS = 300.0


@dataclass
class Housekeeping:
    """What the loop keeps between two looks."""

    say: Say
    file: Watched = field(
        default_factory=lambda: Watched(Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    )

    def look(self, connections: Connections, fence: Fence, _: float) -> None:
        """Begin a round where one is due, or go on with one. Raises psycopg2.Error, valkey.ValkeyError."""
        if self.file.read():
            self._tell(fence)
        if (limits := self.file.limits) is None:
            return
        with connections.metadata as connection, connection.cursor() as cursor:
            before = rounds.read(cursor)
        asked = before.get("asked_at", 0.0)
        if due := time.time() - asked >= limits["every"]:
            write({"asked_at": time.time(), "limits": dict(limits.words)}, fence)
        last = before.get("controller", {})
        left = not last.get("complete", True) and time.time() - last["ended_at"] >= GO_ON_SECONDS
        if due or left:
            found = part(connections, before, Round(limits, False, TURN_SECONDS, REST_SECONDS))
            write(found, fence)
            self._say_removed(found["controller"])

    def _tell(self, fence: Fence) -> None:
        """Say what is wrong with the file, once, and what is in force."""
        limits = self.file.limits
        if self.file.problem:
            kept = "the limits of before stay in force" if limits else "nothing is removed until it is right"
            self.say("limits", reason=self.file.problem, so=kept)
        elif limits:
            self.say("limits", **limits.words)
        write({"problem": self.file.problem}, fence)

    def _say_removed(self, found: Mapping[str, Any]) -> None:
        if gone := {row["what"]: row["removed"] for row in found["rows"] if row["removed"]}:
            self.say("housekeeping", complete=found["complete"], removed=gone)


def part(connections: Connections, before: Mapping[str, Any], round_: Round) -> Facts:
    """Do the controller's part; return what is to be written down. Raises psycopg2.Error, valkey.ValkeyError."""
    results.sweep(connections.results, connections.metadata, connections.broker, round_)
    suspects = orphan_keys.sweep(connections.broker, before.get("suspects", {}), round_)
    return {"controller": round_.facts(before.get("controller", {})), "suspects": suspects}


def write(facts: Facts, fence: Fence) -> None:
    """Write some keys of the row, unless another controller leads by now. Raises psycopg2.Error."""
    with suppress(LeaseLostError), fence() as cursor:
        cursor.execute(rounds.WRITE, (Json(facts),))


def by_hand(limits: Limits, dry: bool) -> Facts:
    """Do this part now, or only look; return the round. Raises psycopg2.Error, valkey.ValkeyError."""
    connections = Connections()
    with connections.metadata as connection, connection.cursor() as cursor:
        before = rounds.read(cursor)
    found = part(connections, before, Round(limits, dry, BY_HAND_SECONDS, REST_SECONDS))
    if not dry:
        with connections.metadata as connection, connection.cursor() as cursor:
            cursor.execute(rounds.WRITE, (Json(found),))
    return found["controller"]


def main(arguments: list[str]) -> int:
    """Print what this part of a round removes, or would; return 1 with the reason when it cannot be done."""
    try:
        print(json.dumps(by_hand(from_environment(), "--dry-run" in arguments)))  # noqa: T201
    except ConfigurationError as problem:
        print(problem, file=sys.stderr)  # noqa: T201
        return problem.exit_code
    except (psycopg2.Error, valkey.ValkeyError, OSError) as problem:
        said = plainly(problem)
        print(f"databases and broker cannot all be seen, see 'kit status': {said}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
