"""Runs in: airflow-controller; looks again and again, repairs what is stuck and orders what waits while it leads.

`python -m airflow_celery_kit.controller.main` runs for ever; with `--once` it prints what is stuck as JSON and ends, with
`--once --act` it repairs that too. Every controller looks; the one that holds the lease acts.
"""

import contextlib
import json
import math
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_celery_kit import instance, service_log
from airflow_celery_kit.controller import database
from airflow_celery_kit.controller.beside import AWAY, Beside, chores
from airflow_celery_kit.controller.lease import Lease, LeaseLostError, give_back
from airflow_celery_kit.controller.ordering import from_environment
from airflow_celery_kit.controller.sight import Connections, look
from airflow_celery_kit.core.repair import CONFIRM_SECONDS, Action, Finding, Suspicions
from airflow_celery_kit.database_words import plainly
from airflow_celery_kit.errors import ConfigurationError
from airflow_celery_kit.health import main as health

# Between two looks that make a single one sure; otherwise KIT_LOOK_SECONDS says.
LOOK_SECONDS = 2.0
# Workers find their way back to a broker that was away; until then they report nothing and hold what they held.
SETTLE_SECONDS = 20.0


def say(event: str, **facts: Any) -> None:
    """Write one structured log line."""
    service_log.write("controller", event, facts)


@dataclass
class Controller:
    """One controller between two looks: what it suspects, since when it sees everything, whether it leads, what it does beside repair."""

    connections: Connections = field(default_factory=Connections)
    suspicions: Suspicions = field(default_factory=Suspicions)
    seeing_since: float | None = None
    token: int | None = None
    beside: Beside | None = None

    def step(self, now: float) -> None:
        """Look once and, as the leader, repair what is confirmed. `now` is steady, in seconds. Raises one of AWAY."""
        confirmed = self.suspicions.confirmed(look(self.connections), now)
        self.seeing_since = now if self.seeing_since is None else self.seeing_since
        lease = Lease(self.connections.metadata, "repair", instance.name(), self.token)
        led, leads = self.token, lease.hold()
        self.token = lease.token
        if leads and led != self.token:
            say("leads", token=self.token)
        if led is not None and not leads:
            say("lost", token=led, because="another controller leads")
        if leads and now - self.seeing_since >= SETTLE_SECONDS:
            self._repair(confirmed, lease)
        if self.beside and self.token is not None:
            self.beside.turn(self.token, now)

    def blind(self, problem: Exception) -> None:
        """One side cannot be seen: whatever was suspected before says nothing any more."""
        if self.seeing_since is not None:
            say("blind", reason=str(problem).strip())
        self.seeing_since = None
        self.suspicions.forget()
        self.connections.drop()

    def _repair(self, confirmed: list[Finding], lease: Lease) -> None:
        for finding in confirmed:
            act(finding, lease.fenced, self.connections)
            self.suspicions.settle(finding)


def act(finding: Finding, fence: database.Fence, connections: Connections) -> bool:
    """Repair one finding and say so; return whether it was still stuck."""
    facts = {"task": finding.task.name, "message": finding.task.message, "reason": finding.reason, **finding.task.names}
    try:
        changed = database.change(finding, fence, connections.results)
    except LeaseLostError as lost:
        say("refused", because=str(lost), **facts)
        return False
    if changed:
        move = (
            connections.broker.deliver_again
            if finding.action == Action.REDELIVER
            else connections.broker.forget_delivery
        )
        move(finding.task.message)
        say(str(finding.action), **facts)
    return changed


def run(controller: Controller, beat: Path, pause: float) -> None:
    """Look for ever, every `pause` seconds; `beat` is touched after each complete look, for the health check."""
    while True:
        try:
            controller.step(time.monotonic())
            beat.touch()
        except AWAY as problem:
            controller.blind(problem)
        time.sleep(pause)


def leave() -> None:
    """Give back what this controller leads; where the database is away the lease runs out by itself."""
    with contextlib.suppress(*AWAY):
        give_back(Connections().metadata, instance.name())


def look_until_sure(connections: Connections) -> list[Finding]:
    """Return what is stuck and stayed so for CONFIRM_SECONDS; at once where nothing is. Raises one of AWAY."""
    suspicions, until = Suspicions(), math.inf
    while found := look(connections):
        now = time.monotonic()
        until = min(until, now + CONFIRM_SECONDS)
        confirmed = suspicions.confirmed(found, now)
        if now >= until:
            return confirmed
        time.sleep(LOOK_SECONDS)
    return []


def once(act_too: bool) -> None:
    """Print what is stuck as JSON; with `act_too` repair it. Each change applies only to what is still as it was seen."""
    connections = Connections()
    found = look_until_sure(connections)
    rows = [
        {"task": one.task.name, "action": str(one.action), "reason": one.reason, "message": one.task.message} for one in found
    ]  # fmt: skip
    if act_too:
        for row, finding in zip(rows, found, strict=True):
            row["done"] = act(finding, lambda: database.transaction(connections.metadata), connections)
    print(json.dumps({"stuck": rows}))  # noqa: T201


def main(arguments: list[str]) -> int:
    """Run the controller, or one look; return 1 with the reason when that look cannot be had."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if "--once" not in arguments:
        try:
            ordering = from_environment(os.environ, say)
        except ConfigurationError as problem:
            print(problem, file=sys.stderr)  # noqa: T201
            return os.EX_CONFIG
        judge = health.Loop(health.from_environment(os.environ, say))
        judge.start()
        pause = float(os.environ.get("KIT_LOOK_SECONDS") or LOOK_SECONDS)
        try:
            run(Controller(beside=Beside(chores(ordering, say), say)), Path(os.environ["KIT_BEAT_FILE"]), pause)
        except SystemExit:
            # Told to end; what ends by a mistake of its own leaves its lease as the dead do.
            judge.over.set()
            leave()
            raise
    try:
        once("--act" in arguments)
    except AWAY as problem:
        print(f"database and broker cannot both be seen, see 'kit status': {plainly(problem)}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
