"""Runs in: airflow-controller and `kit repair`; what the broker holds and what live workers say, read and tidied.

Key layout of kombu's Redis transport (`kombu/transport/redis.py`): a list for each queue and priority step, a hash
`unacked` of delivered messages with the sorted set `unacked_index`, a set `_kombu.binding.*` for each exchange.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import valkey

from airflow_celery_kit.core.repair import Messages
from airflow_celery_kit.probes.broker import FULL, HIGH_WATER
from airflow_celery_kit.worker.broker import CANARY, PRIORITY_STEPS, REPORT_SECONDS, SEPARATOR
from airflow_celery_kit.worker.broker import REPORT_KEY as KEY

REPLIES = "_kombu.binding.reply.celery.pidbox"
# A reply queue is used for seconds; Celery leaves one behind for every process that asked and died.
REPLY_IDLE_SECONDS = 300


@dataclass(frozen=True)
class Broker:
    """The broker through a client of the `valkey` library that decodes nothing."""

    client: Any

    def check_room(self) -> None:
        """Raises valkey.OutOfMemoryError when the broker is full: it refuses what workers report, and nothing is published."""
        memory = self.client.info("memory")
        if memory["maxmemory"] and memory["used_memory"] > memory["maxmemory"] * HIGH_WATER:
            raise valkey.OutOfMemoryError(f"broker {FULL}")

    def messages(self) -> Messages:
        """Return the ids of all messages. Raises valkey.ValkeyError when the broker is away."""
        waiting = frozenset(identity(raw)[0] for key in self.lists() for raw in self.client.lrange(key, 0, -1))
        delivered = (json.loads(raw)[0] for raw in self.client.hvals("unacked"))
        named = {_header(message, "id"): _header(message, "argsrepr") for message in delivered}
        return Messages(waiting, {found: name for found, name in named.items() if found})

    def delivered(self) -> int:
        """Return how many messages are with workers that have not acknowledged them."""
        return int(self.client.hlen("unacked"))

    def reports(self) -> dict[str, dict[str, Any]]:
        """Return what each live worker says of itself, by its name; one that stops reporting vanishes with its key."""
        found = {}
        for key in self.client.scan_iter(match=f"{KEY}*", count=1000):
            if raw := self.client.get(key):
                found[key.decode().removeprefix(KEY)] = json.loads(raw)
        return found

    def age_of_report(self, worker: str) -> float | None:
        """Return for how many seconds a live worker's report has stood there; None for one that is gone."""
        left = self.client.pttl(f"{KEY}{worker}")
        return None if left < 0 else max(0.0, REPORT_SECONDS - left / 1000)

    def held(self) -> dict[str, frozenset[str]]:
        """Return each live worker's name and the ids it holds."""
        return {name: frozenset(report["held"]) for name, report in self.reports().items()}

    def queues(self) -> set[str]:
        """Return the names of the queues that tasks were ever sent to, or that a live worker serves.

        A connection that outlives a wiped broker binds its queues no second time.
        """
        served = {queue for report in self.reports().values() for queue in report.get("queues", ())}
        return served | {
            member.decode().rpartition(SEPARATOR)[2]
            for binding in self.client.scan_iter(match="_kombu.binding.*", count=1000)
            if b"pidbox" not in binding and b"celeryev" not in binding
            for member in self.client.smembers(binding)
        }

    def forget_delivery(self, message: str) -> None:
        """Drop a delivered message that nobody will acknowledge, so that it is not delivered a second time."""
        for tag in self._deliveries(message):
            with self.client.pipeline(transaction=True) as pipeline:
                pipeline.zrem("unacked_index", tag).hdel("unacked", tag).execute()

    def deliver_again(self, message: str) -> None:
        """Date a delivery back, so that the workers' own search for old deliveries puts it into its queue again."""
        for tag in self._deliveries(message):
            self.client.zadd("unacked_index", {tag: 0}, xx=True)

    def _deliveries(self, message: str) -> list[bytes]:
        return [
            tag for tag, raw in self.client.hgetall("unacked").items() if _header(json.loads(raw)[0], "id") == message
        ]

    def drop_orphan_replies(self) -> int:
        """Remove reply queues that nobody reads any more; return how many."""
        dropped = 0
        for key in self.client.scan_iter(match="*.reply.celery.pidbox", count=1000):
            # One that was emptied meanwhile has no idle time.
            if key.startswith(b"_kombu") or (self.client.object("idletime", key) or 0) < REPLY_IDLE_SECONDS:
                continue
            queue = key.decode()
            gone = [member for member in self.client.smembers(REPLIES) if member.decode().endswith(queue)]
            with self.client.pipeline(transaction=True) as pipeline:
                pipeline.delete(key)
                for member in gone:
                    pipeline.srem(REPLIES, member)
                pipeline.execute()
            dropped += 1
        return dropped

    def lists(self) -> Iterator[str]:
        """Yield the key of every list that may hold messages."""
        yield from (list_of(queue, step) for queue in sorted(self.queues()) for step in PRIORITY_STEPS)


def list_of(queue: str, step: int) -> str:
    """Return the key of the list that holds a queue's messages of one priority step."""
    return f"{queue}{SEPARATOR}{step}" if step else queue


def identity(message: bytes | str) -> tuple[str, str]:
    """Return a message's id and what it says of its task, nothing where it has none."""
    try:
        parsed = json.loads(message)
    except ValueError:
        return "", ""
    return _header(parsed, "id"), _header(parsed, "argsrepr")


def is_canary(message: bytes | str) -> bool:
    """Return whether a message is one of the controller's own, which measures the way of the others."""
    try:
        return _header(json.loads(message), "task") == CANARY
    except ValueError:
        return False


def _header(message: Any, name: str) -> str:
    try:
        return str(message["headers"][name])
    except (KeyError, TypeError):
        return ""
