"""Runs in: airflow-controller; brings messages into their steps and into order there, in one breath of the server for each step.

Workers take from the right of a list, senders push to the left.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from airflow_celery_kit.controller.broker import identity, list_of
from airflow_celery_kit.core.priorities import NO_TASK
from airflow_celery_kit.worker.broker import PRIORITY_STEPS

# For each message, the least urgent first: the list that it was in, what it was and what it becomes. One that a worker has taken
# meanwhile is in no list any more, and stays away.
PLACE = """
local placed = 0
for i = 1, #ARGV, 3 do
    if redis.call('LREM', ARGV[i], 1, ARGV[i + 1]) == 1 then
        redis.call('RPUSH', KEYS[1], ARGV[i + 2])
        placed = placed + 1
    end
end
return placed
"""

# Step and turn: the least of both is the most urgent.
Turn = tuple[int, Any]
Found = tuple[str, int, bytes]
# Callbacks are sent to step 0 and run before all tasks there.
BEFORE_ALL: Turn = (0, (float("-inf"),))


def arrange(client: Any, queues: Iterable[str], turns: Mapping[str, Turn]) -> int:
    """Put messages, by their ids, into their steps, in the order of their turns; return how many were placed.

    A step in which all is well is not touched. Callbacks come first; what else is not in `turns` stays, and comes last in its step.
    Raises valkey.ValkeyError.
    """
    placed = 0
    for queue in queues:
        known = dict(turns)
        there = list(_messages(client, queue, known))
        for step in PRIORITY_STEPS:
            wanted = sorted((one for one in there if known[one[0]][0] == step), key=lambda one: known[one[0]][1])
            present = [name for name, found, _ in there if found == step]
            if present != [name for name, *_ in wanted] and wanted:
                placed += _place(client, queue, step, wanted)
    return placed


def _messages(client: Any, queue: str, turns: dict[str, Turn]) -> Iterator[Found]:
    """Yield id, step and text of the messages that have a turn, the next to be taken first; callbacks are given one."""
    for step in PRIORITY_STEPS:
        for raw in reversed(client.lrange(list_of(queue, step), 0, -1)):
            name, task = identity(raw)
            if name and task == NO_TASK and step == 0:
                turns.setdefault(name, BEFORE_ALL)
            if name in turns:
                yield name, step, raw


def _place(client: Any, queue: str, step: int, wanted: list[Found]) -> int:
    arguments: list[Any] = []
    for _, old, raw in reversed(wanted):
        arguments += [list_of(queue, old), raw, raw if old == step else with_priority(raw, step)]
    return int(client.eval(PLACE, 1, list_of(queue, step), *arguments))


def with_priority(raw: bytes, step: int) -> str:
    """Return a message that names another step: where its worker dies, kombu puts it back into the one that it names."""
    message = json.loads(raw)
    message["properties"]["priority"] = step
    return json.dumps(message, separators=(",", ":"))
