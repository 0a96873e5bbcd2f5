"""Runs in: airflow-controller; the broker: it answers and takes writes, has memory left, writes what it was given, evicts nothing."""

import time
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from valkey.exceptions import AuthenticationError, NoPermissionError, OutOfMemoryError, ValkeyError

from airflow_celery_kit.core.health import Cause, Finding, State
from airflow_celery_kit.health.anew import TOLD_SECONDS, Anew, Grown
from airflow_celery_kit.health.check import Check
from airflow_celery_kit.probes.broker import HIGH_WATER

KEY = "kit:health"
LATELY = f"in the last {TOLD_SECONDS:.0f} s"
SLOW_SECONDS = 0.5
USED_SHARE = 0.8
CLIENTS_SHARE = 0.9
AWAY_CURE = "see 'kit status' and 'kit logs valkey'; workers and scheduler come back to it by themselves"
LOGIN_CURE = "'kit init', then 'kit down' and 'kit up': valkey reads its users and their passwords when it starts"
ROOM_CURE = "let workers take what waits, or raise maxmemory in config/valkey.conf"
DISK_CURE = "see 'kit logs valkey', and whether its disk is full; a restart would lose what is not on disk"


class Valkey(Check):
    """A reading and a write with the controller's own login, and what the server says of itself (`INFO`)."""

    name = "broker"
    needs = ("broker",)
    causes: ClassVar = {
        "away": Cause(State.UNHEALTHY, "nobody answers", AWAY_CURE, vital=True),
        "login": Cause(
            State.UNHEALTHY, "it refuses the controller's login: its user, password or rights", LOGIN_CURE, vital=True
        ),
        "none left": Cause(
            State.UNHEALTHY,
            "it takes no more connections",
            "raise maxclients in config/valkey.conf, and see who holds them: 'CLIENT LIST'",
            vital=True,
        ),
        "full": Cause(
            State.UNHEALTHY,
            f"it refuses a write, or {HIGH_WATER:.0%} of maxmemory are in use: nothing is published",
            ROOM_CURE,
            vital=True,
        ),
        "nearly full": Cause(State.DEGRADED, f"{USED_SHARE:.0%} of maxmemory are in use", ROOM_CURE),
        "loading": Cause(State.DEGRADED, "it reads its data after a start", "wait"),
        "not on disk": Cause(
            State.UNHEALTHY, "the append-only file cannot be written: it refuses writes", DISK_CURE, vital=True
        ),
        "no file": Cause(
            State.DEGRADED,
            "there is no append-only file: a restart loses all messages",
            "set `appendonly yes` in config/valkey.conf",
        ),
        "not saved": Cause(State.DEGRADED, "its last rewrite or snapshot failed", DISK_CURE),
        "evicts": Cause(
            State.UNHEALTHY,
            "it has evicted keys a moment ago: messages may be gone",
            "set `maxmemory-policy noeviction` in config/valkey.conf",
        ),
        "clients": Cause(
            State.DEGRADED,
            f"{CLIENTS_SHARE:.0%} of its connections are in use, or it has refused some",
            "see who holds them: 'CLIENT LIST'",
        ),
        "empty": Cause(
            State.DEGRADED,
            "it was started anew without the data that it had",
            "nothing: what waited is sent again within a minute and a half; see 'kit logs valkey'",
        ),
        "anew": Cause(State.DEGRADED, "it was started anew, which nobody had seen", "see why in 'kit logs valkey'"),
        "slow": Cause(
            State.DEGRADED, f"a write and its reading back take more than {SLOW_SECONDS} s", "see what its machine does"
        ),
    }

    def __init__(self) -> None:
        self.evicted, self.rejected = Grown(), Grown()
        self.anew, self.empty = Anew(), Anew()
        self.away = 0

    def look(self, broker: Any) -> Iterable[Finding]:
        """Return one finding: the worst."""
        begun, kept = time.monotonic(), b""
        try:
            said = broker.client.info()
            if not said.get("loading"):
                kept = broker.client.hget(KEY, "run") or b""
                broker.client.hset(KEY, "run", said["run_id"])
        except (ValkeyError, OSError) as problem:
            cause = refusal(problem)
            self.away += cause == "away"
            return [self.ill(cause, str(problem) or type(problem).__name__)]
        found = self.of(said, time.monotonic() - begun, bool(kept))
        self.away = 0
        return [found]

    def of(self, said: Mapping[str, Any], took: float, kept: bool = True) -> Finding:
        """Return what follows from `INFO`, the seconds of the round trip, and whether what the last look wrote is still there."""
        if said.get("loading"):
            return self.ill("loading", "it is reading its data")
        evicted = self.evicted.by(int(said["evicted_keys"]))
        rejected = self.rejected.by(int(said["rejected_connections"]))
        share = said["used_memory"] / said["maxmemory"] if said.get("maxmemory") else 0.0
        clients = said["connected_clients"] / max(1, said.get("maxclients", 10_000))
        held = f"{said['connected_clients']} clients, {said['blocked_clients']} of them wait for messages"
        why = f"answers in {took * 1000:.0f} ms, {share:.0%} of maxmemory, {held}"
        started = f"started anew {said['uptime_in_seconds']} s ago"
        # That it was away has been told; one look would not have been believed.
        anew = self.anew.is_anew(self.name, said["run_id"], expected=self.away >= self.confirm)
        empty = self.empty.is_anew(self.name, said["run_id"], expected=kept)
        checks = (
            ("evicts", evicted, f"{evicted} keys evicted {LATELY}"),
            ("full", share > HIGH_WATER, f"{share:.0%} of maxmemory"),
            (
                "not on disk",
                said.get("aof_last_write_status", "ok") != "ok",
                "the last write to the append-only file failed",
            ),
            ("no file", not said.get("aof_enabled"), "the append-only file is off"),
            ("not saved", unsaved(said), unsaved(said)),
            ("nearly full", share > USED_SHARE, f"{share:.0%} of maxmemory"),
            (
                "clients",
                rejected or clients > CLIENTS_SHARE,
                f"{said['connected_clients']} clients, {rejected} refused {LATELY}",
            ),
            ("empty", empty, f"{started} without its data"),
            ("anew", anew, started),
            ("slow", took > SLOW_SECONDS, why),
        )
        return next((self.ill(cause, text) for cause, is_so, text in checks if is_so), self.well(why))


def refusal(problem: Exception) -> str:
    """Return the cause of a reading or write that failed."""
    refusals = (
        ("full", isinstance(problem, OutOfMemoryError)),
        ("login", isinstance(problem, AuthenticationError | NoPermissionError)),
        ("not on disk", str(problem).startswith("MISCONF")),
        ("none left", "max number of clients" in str(problem)),
    )
    return next((cause for cause, is_so in refusals if is_so), "away")


def unsaved(said: Mapping[str, Any]) -> str:
    """Return which of the last savings failed, nothing where none did."""
    names = {"aof_last_bgrewrite_status": "rewrite of the append-only file", "rdb_last_bgsave_status": "snapshot"}
    failed = [text for name, text in names.items() if said.get(name, "ok") != "ok"]
    age = time.time() - said.get("rdb_last_save_time", time.time())
    return f"the last {' and '.join(failed)} failed; the last snapshot is {age / 60:.0f} min old" if failed else ""
