"""Runs in: Celery workers; tells the controller every two seconds which messages the worker holds, and its health check that it beats.

The report is a key in the broker that expires: a worker that is dead, frozen, or cut off stops existing there by itself.
The beat file is touched at the same moment, from the worker's own event loop, while it is connected, listens to all its queues
and takes what waits there.
"""

import contextlib
import json
import os
import platform
import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from celery import bootsteps
from celery.utils.log import get_logger
from celery.worker import state
from redis.exceptions import ResponseError

from airflow_celery_kit import secret_facts, versions
from airflow_celery_kit.worker import canary, memory, room
from airflow_celery_kit.worker.broker import LEFT_KEY, LEFT_SECONDS, PRIORITY_STEPS, REPORT_SECONDS, SALT_KEY, SEPARATOR
from airflow_celery_kit.worker.broker import REPORT_KEY as KEY
from airflow_celery_kit.worker.cpu import Cpu
from airflow_celery_kit.worker.duplicates import STARTED
from airflow_celery_kit.worker.hearing import Hearing
from airflow_celery_kit.worker.orders import Orders, take_again, take_nothing
from airflow_celery_kit.worker.resident import memory_bytes

EVERY_SECONDS = 2.0


def report(requests: Iterable[Any], duplicates: int, queues: list[str], slots: int, **more: Any) -> str:
    """Return the JSON of a report.

    It holds the ids of the messages that are reserved or running here, the number of second deliveries dropped, the queues and slots
    of this worker, and as `more`: `busy`, the share of the CPU it may use that is in use, 0 to 1; `drained`, whether it was told to
    take no task; `memory_bytes` of all its processes; its `host`; `since` when it runs and `at` when this was written, in seconds since
    1970; `told`, whether the one before it was told to leave; `deaf`, whether it leaves alone what waits; which queues it is `consuming`;
    `short`, what it lacks on disk in a sentence, `disk` and `memory`, bytes that are free; `canary`, the last one of each queue; its
    `versions`, and what may be said of its `secrets`.
    """
    held = sorted({request.id for request in requests})
    return json.dumps({"held": held, "duplicates": duplicates, "queues": queues, "slots": slots, **more})


def in_hands() -> set[Any]:
    """Return what this worker has taken: a reconnection forgets the reserved of Celery's two sets, and keeps the active."""
    return {*state.reserved_requests, *state.active_requests}


def beat_file() -> Path | None:
    """Return the file named by `KIT_BEAT_FILE`, or None where no health check reads one."""
    named = os.environ.get("KIT_BEAT_FILE")
    return Path(named) if named else None


class Reporter(bootsteps.StartStopStep):
    """A step of the worker's consumer, started at every connection to the broker and stopped with it."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self.timer: Any = None
        self.hearing, self.cpu, self.orders = Hearing(), Cpu(), Orders()
        self.about: dict[str, Any] = {
            "host": platform.node(),
            "since": round(time.time(), 3),
            "versions": versions.installed(),
        }
        self.refused, self.short = "", ""
        # Which queues this worker is for; a consumer that lost them knows of none.
        self.queues = [str(queue) for queue in consumer.app.amqp.queues.consume_from]

    def start(self, consumer: Any) -> None:
        """Report now and from now on."""
        with consumer.connection.default_channel.conn_or_acquire() as client, contextlib.suppress(ResponseError):
            # Whether the one before, under this name, left as it was told.
            self.about.setdefault("told", bool(client.delete(f"{LEFT_KEY}{name_of(consumer)}")))
            client.set(SALT_KEY, secrets.token_hex(16), nx=True)
            self.about["secrets"] = secret_facts.about(os.environ, text(client.get(SALT_KEY)))
        self.timer = consumer.timer.call_repeatedly(EVERY_SECONDS, self.send, (consumer,))
        self.send(consumer)

    def stop(self, consumer: Any) -> None:
        """Stop reporting; the key runs out by itself, because tasks may go on. One that was told to leave says so."""
        if self.timer:
            self.timer.cancel()
            self.timer = None
        if not is_told_to_leave():
            return
        # Without the word it counts as lost, which is all that can be said where the broker is away.
        with contextlib.suppress(Exception), consumer.connection.default_channel.conn_or_acquire() as client:
            client.set(f"{LEFT_KEY}{name_of(consumer)}", "told", ex=LEFT_SECONDS)

    def send(self, consumer: Any) -> None:
        """Write the report and beat. An error of the broker is the connection's business, which notices by itself."""
        name = name_of(consumer)
        # The channel's own client has a blocking read under way; this one comes from its pool.
        with consumer.connection.default_channel.conn_or_acquire() as client:
            self.orders.heed(consumer, client, name)
            self.look_for_room(consumer)
            deaf, consuming = self.is_deaf(consumer, client), queues_of(consumer)
            self.write(client, f"{KEY}{name}", consumer.pool.num_processes, deaf=deaf, consuming=consuming)
        lost = not self.orders.drained and set(self.queues) - set(consuming)
        if not (deaf or lost or self.short) and (path := beat_file()):
            path.touch()

    def look_for_room(self, consumer: Any) -> None:
        """Take no task while there is too little room on disk, and beat no more: the guard starts another once there is some."""
        before, self.short = self.short, room.problem()
        if self.short:
            take_nothing(consumer)
        elif before and not self.orders.drained:
            take_again(consumer)
        if self.short and not before:
            get_logger(__name__).error("takes no task, %s", self.short)

    def write(self, client: Any, key: str, slots: int, **more: Any) -> None:
        """Write the report. A broker that is full refuses it, which is no fault of the worker's: said once."""
        try:
            now = more | {"busy": self.cpu.busy(), "drained": self.orders.drained, "at": round(time.time(), 3)}
            now |= {
                "memory_bytes": memory_bytes(),
                "short": self.short,
                "disk": room.free(),
                "memory": memory.left(),
                "canary": canary.BACK,
            }
            said = report(in_hands(), STARTED.dropped, self.queues, slots, **now, **self.about)
            client.set(key, said, ex=REPORT_SECONDS)
        except ResponseError as problem:
            if str(problem) != self.refused:
                get_logger(__name__).warning("the broker refuses this worker's report: %s", problem)
            self.refused = str(problem)
        else:
            self.refused = ""

    def is_deaf(self, consumer: Any, client: Any) -> bool:
        """Return whether messages wait in this worker's queues that it does not take."""
        lists = [f"{queue}{SEPARATOR}{step}" if step else queue for queue in self.queues for step in PRIORITY_STEPS]
        with client.pipeline(transaction=False) as pipeline:
            for key in lists:
                pipeline.llen(key)
            found = sum(pipeline.execute())
        # Whoever is to take nothing leaves nothing alone.
        waiting = 0 if self.orders.drained or self.short else found
        free = consumer.pool.num_processes - len(in_hands())
        return self.hearing.is_deaf(waiting, free, sum(state.total_count.values()), time.monotonic())


def name_of(consumer: Any) -> str:
    """Return the name under which a worker reports."""
    return str(consumer.hostname).removeprefix("celery@")


def is_told_to_leave() -> bool:
    """Return whether this worker is on its way out; the words for it are exit codes, of which 0 is one."""
    return any(word is not None and word is not False for word in (state.should_stop, state.should_terminate))


def queues_of(consumer: Any) -> list[str]:
    """Return the queues that a worker takes tasks from now."""
    return sorted(queue.name for queue in consumer.task_consumer.queues)


def text(value: Any) -> str:
    """Return what a client of the broker gave, decoded or not."""
    return value.decode() if isinstance(value, bytes) else str(value or "")


def install(app: Any) -> None:
    """Add the step to every worker of a Celery app."""
    app.steps["consumer"].add(Reporter)
