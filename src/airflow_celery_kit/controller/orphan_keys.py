"""Runs in: airflow-controller; keys of the broker whose owner is gone, once that has been so for long.

None of them says when it was last used, so the controller notes since when it has seen each without an owner.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import isinf
from typing import Any

from airflow_celery_kit.controller.broker import KEY, REPLIES, Broker
from airflow_celery_kit.rounds import Round
from airflow_celery_kit.worker.broker import SEPARATOR

LIMIT = "keys"
# Celery's remote control: a queue for each worker that ever was.
CONTROL, WORKERS_QUEUE = "_kombu.binding.celery.pidbox", ".celery.pidbox"
INDEX, DELIVERED = "unacked_index", "unacked"
# What one round looks at and notes; the rest comes after it.
MOST = 1000


@dataclass(frozen=True)
class Orphan:
    """A member of a key, or a whole key, that nobody owns; `kind` says what it is."""

    kind: str
    key: str
    member: str = ""

    @property
    def name(self) -> str:
        """What it is called between two looks."""
        return f"{self.key} {self.member}"


def orphans(broker: Broker) -> Iterator[Orphan]:
    """Yield what has no owner now. Raises valkey.ValkeyError."""
    client, live = broker.client, set(broker.reports())
    for key, kind in ((CONTROL, "control queues"), (REPLIES, "reply bindings")):
        for member in map(bytes.decode, client.smembers(key)):
            queue = member.rpartition(SEPARATOR)[2]
            worker = queue.removesuffix(WORKERS_QUEUE).removeprefix("celery@")
            if worker not in live if key == CONTROL else not client.exists(queue):
                yield Orphan(kind, key, member)
    for tag in map(bytes.decode, client.zrange(INDEX, 0, -1)):
        if not client.hexists(DELIVERED, tag):
            yield Orphan("deliveries of nothing", INDEX, tag)
    for found in map(bytes.decode, client.scan_iter(match=f"{KEY}*", count=1000)):
        # A report that does not expire is none of a worker's.
        if client.ttl(found) == -1:
            yield Orphan("reports", found)


def sweep(broker: Broker, before: Mapping[str, float], round_: Round) -> dict[str, float]:
    """Remove what has had no owner for long; return since when each of the others has none. Raises valkey.ValkeyError.

    `before` is what the last round returned: seconds since 1970 by name.
    """
    age = round_.limits[LIMIT]
    if isinf(age):
        return {}
    now, since, due = round_.begun_at, {}, []
    for one in islice(orphans(broker), MOST):
        since[one.name] = min(before.get(one.name, now), now)
        if now - since[one.name] >= age:
            due.append(one)
    oldest = max((now - since[one.name] for one in due), default=0.0)
    row = round_.found("broker keys", LIMIT, len(due), sum(len(one.name) for one in due), oldest, why=kinds(due))
    if due and round_.remove_once(row, partial(remove, broker.client, due)):
        for one in due:
            since.pop(one.name, None)
    return since


def kinds(found: list[Orphan]) -> dict[str, int]:
    """Return how many there are of each kind."""
    counts: dict[str, int] = {}
    for one in found:
        counts[one.kind] = counts.get(one.kind, 0) + 1
    return counts


def remove(client: Any, due: list[Orphan]) -> tuple[int, int]:
    """Remove members and keys, unless they have an owner again; return how many, and their length."""
    gone = []
    for one in due:
        if one.key == INDEX:
            done = not client.hexists(DELIVERED, one.member) and client.zrem(INDEX, one.member)
        elif one.member:
            done = client.srem(one.key, one.member)
        else:
            done = client.ttl(one.key) == -1 and client.delete(one.key)
        if done:
            gone.append(one)
    return len(gone), sum(len(one.name) for one in gone)
