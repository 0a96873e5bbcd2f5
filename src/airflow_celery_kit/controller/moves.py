"""Runs in: airflow-controller; moves messages between the broker's steps, each in one breath of the server, so that none is ever away."""

import json
from collections.abc import Mapping
from typing import Any

from airflow_celery_kit.controller.broker import identity, list_of
from airflow_celery_kit.worker.broker import PRIORITY_STEPS

# A worker that was quicker has taken it: then there is nothing to move. Workers take from the right, senders push to the left.
MOVE = """
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
return redis.call(ARGV[3], KEYS[2], ARGV[2])
"""


def move(client: Any, queues: set[str], steps: Mapping[str, int]) -> int:
    """Put messages, by their ids, into the lists of the steps given; return how many were moved.

    One that becomes more urgent is the next of its step, one that becomes less urgent the last.
    Raises valkey.ValkeyError.
    """
    moved = 0
    for queue in queues:
        for old in PRIORITY_STEPS:
            for raw in client.lrange(list_of(queue, old), 0, -1):
                new = steps.get(identity(raw), old)
                if new != old:
                    # What becomes more urgent has waited: it is the next of its step.
                    end = "RPUSH" if new < old else "LPUSH"
                    lists = (list_of(queue, old), list_of(queue, new))
                    moved += client.eval(MOVE, len(lists), *lists, raw, with_priority(raw, new), end) > 0
    return moved


def with_priority(raw: bytes, step: int) -> str:
    """Return a message that names another step: where its worker dies, kombu puts it back into the one that it names."""
    message = json.loads(raw)
    message["properties"]["priority"] = step
    return json.dumps(message, separators=(",", ":"))
