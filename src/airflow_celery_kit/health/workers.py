"""Runs in: airflow-controller; each worker, by what it says of itself in the broker every two seconds, and by its silence."""

import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar

from airflow_celery_kit.core.health import Cause, Finding, State
from airflow_celery_kit.health.anew import Anew
from airflow_celery_kit.health.check import Check
from airflow_celery_kit.worker.broker import LEFT_KEY

# Longer than a worker needs to find its way back to a broker that was away.
LOST_SECONDS = 20.0
# A worker that does not come back under its name is forgotten.
FORGET_SECONDS = 1800.0
# Looks are ten seconds apart. After a longer time one of them saw nothing, and workers may still be on their way back to the broker.
STEADY_SECONDS = 18.0
LITTLE_MEMORY_SHARE, LITTLE_DISK_BYTES = 0.05, 256 << 20


class Workers(Check):
    """Whether each one reports, takes what waits in its queues, and has memory and disk. One whose slots are all busy is well."""

    name = "workers"
    needs = ("broker",)
    hangs = State.DEGRADED
    causes: ClassVar = {
        "nobody": Cause(
            State.UNHEALTHY,
            "no worker reports: no task runs",
            "see 'kit status'; 'kit scale 1' or 'kit resume' starts one",
            vital=True,
        ),
        "lost": Cause(
            State.UNHEALTHY,
            f"nothing was heard of it for {LOST_SECONDS:.0f} s, and it was not told to leave: dead, frozen, or cut off",
            "see its log; its guard or supervisor replaces it",
        ),
        "unserved": Cause(
            State.UNHEALTHY,
            "whoever took tasks from a queue is silent, and no other worker takes from it: its tasks wait",
            "see the log of its worker; 'kit scale' starts others",
        ),
        "deaf": Cause(
            State.UNHEALTHY,
            "messages wait in its queues, slots are free, and it has taken none for 10 s",
            "its guard replaces it once it runs no task; see its log",
        ),
        "unsubscribed": Cause(
            State.UNHEALTHY,
            "it was started for a queue that it does not listen to",
            "its guard replaces it once it runs no task",
        ),
        "no disk": Cause(
            State.UNHEALTHY,
            "too little room for logs, events or temporary files: it takes no task",
            "make room; another worker starts in its place when there is some",
        ),
        "disk": Cause(
            State.DEGRADED,
            f"less than {LITTLE_DISK_BYTES >> 20} MiB are free where it writes",
            "make room where task logs and temporary files lie",
        ),
        "memory": Cause(
            State.DEGRADED,
            f"less than {LITTLE_MEMORY_SHARE:.0%} of the memory it may use is free",
            "fewer slots, more memory (WORKER_MEMORY), or another worker",
        ),
        "anew": Cause(
            State.DEGRADED,
            "it was started anew after the one before had ended without a word: what that one ran is run again",
            "see why in its log; SIGKILL without a word of anybody is often the kernel, for memory",
        ),
        "drained": Cause(State.DEGRADED, "all workers were told to take no task", "'kit workers resume'"),
    }

    def __init__(self) -> None:
        self.seen: dict[str, float] = {}
        self.looked = 0.0
        self.anew = Anew()
        self.queues: dict[str, set[str]] = {}

    def remember(self, subjects: Collection[str]) -> None:
        """Expect the workers that another controller knew."""
        self.seen = dict.fromkeys(set(subjects) - {self.name}, time.monotonic()) | self.seen

    def look(self, broker: Any) -> Iterable[Finding]:
        """Return a finding for each worker, and one for all of them."""
        reports = broker.reports()
        now = time.monotonic()
        steady, lost = now - self.looked < STEADY_SECONDS, self._lost(reports, broker, now)
        unserved = self._unserved(reports)
        self.anew.keep(self.seen)
        yield from (self.of(name, said) for name, said in reports.items())
        yield from (self.ill("lost", f"last heard of {seconds:.0f} s ago", name) for name, seconds in lost.items())
        if not reports:
            yield self.ill("nobody", "no worker reports")
        elif unserved and steady:
            yield self.ill("unserved", f"no worker takes from {', '.join(unserved)}")
        elif all(said.get("drained") for said in reports.values()):
            yield self.ill("drained", f"{len(reports)} of {len(reports)} take no task")
        else:
            held, slots = (
                sum(int(number) for number in numbers) for numbers in zip(*map(in_use, reports.values()), strict=True)
            )
            yield self.well(f"{len(reports)} report, {held} of {slots} slots in use")

    def _lost(self, reports: Mapping[str, Any], broker: Any, now: float) -> dict[str, float]:
        """Return who is expected and silent, with the seconds. While the broker was away nobody could report."""
        if now - self.looked >= STEADY_SECONDS:
            self.seen = dict.fromkeys(self.seen, now)
        self.looked = now
        self.seen |= dict.fromkeys(reports, now)
        for name in [one for one, at in self.seen.items() if at < now]:
            if now - self.seen[name] > FORGET_SECONDS or broker.client.exists(f"{LEFT_KEY}{name}"):
                del self.seen[name]
        silent = {name: now - at for name, at in self.seen.items() if name not in reports}
        return {name: seconds for name, seconds in silent.items() if seconds >= LOST_SECONDS}

    def _unserved(self, reports: Mapping[str, Any]) -> list[str]:
        """Return the queues that only those were for who are silent now."""
        known = {name: self.queues.get(name, set()) for name in self.seen}
        self.queues = known | {name: set(said.get("queues", ())) for name, said in reports.items()}
        served = {queue for name in reports for queue in self.queues[name]}
        return sorted({queue for name in self.seen for queue in self.queues[name]} - served)

    def of(self, name: str, said: Mapping[str, Any]) -> Finding:
        """Return what follows from a report; an older worker does not say everything."""
        missing = sorted(set(said.get("queues", ())) - set(said.get("consuming", said.get("queues", ()))))
        held, slots = in_use(said)
        disk = min(said.get("disk", {}).values(), default=LITTLE_DISK_BYTES)
        memory = said.get("memory") or {"free": 1, "total": 1}
        checks = (
            ("no disk", said.get("short"), said.get("short", "")),
            ("unsubscribed", missing and not said.get("drained"), f"does not listen to {', '.join(missing)}"),
            ("deaf", said.get("deaf"), "messages wait and it takes none"),
            ("disk", disk < LITTLE_DISK_BYTES, f"{disk >> 20} MiB left"),
            (
                "memory",
                memory["free"] < memory["total"] * LITTLE_MEMORY_SHARE,
                f"{memory['free'] >> 20} MiB left of {memory['total'] >> 20}",
            ),
            ("anew", self.anew.is_anew(name, said.get("since"), expected=bool(said.get("told", True))), "started anew"),
        )
        well = f"{held} of {slots} slots in use{', takes no task as it was told' if said.get('drained') else ''}"
        return next((self.ill(cause, why, name) for cause, is_so, why in checks if is_so), self.well(well, name))


def in_use(said: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many slots of a worker are in use, and how many it has."""
    return len(said.get("held", ())), int(said.get("slots") or 0)
