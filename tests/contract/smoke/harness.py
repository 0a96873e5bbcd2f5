"""Runs in: contract tests; a Valkey that can be killed and started again, Celery workers, and the receipts of their tasks."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import valkey
from celery import Celery
from kombu import pools

from airflow_celery_kit.runtimes.servers import SYSTEM_HOME, Servers
from airflow_celery_kit.settings import Settings
from airflow_celery_kit.worker.broker import PRIORITY_STEPS, SEPARATOR
from tests.contract.servers import REPOSITORY, START_SECONDS, fresh_settings, wait_for
from tests.contract.smoke.app import QUEUE, make_app

# The kit's own users may neither cut connections nor empty the server.
TESTER = "user tester on nopass ~* &* +@all\n"
WARM, COLD = signal.SIGTERM, signal.SIGQUIT


@dataclass
class Broker:
    """A Valkey with the kit's configuration, users and append-only file."""

    settings: Settings
    servers: Servers
    process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        """Its address, without credentials."""
        return f"redis://127.0.0.1:{self.settings['VALKEY_PORT']}/0"

    @property
    def client(self) -> valkey.Valkey:
        """A client that may do everything."""
        port = self.settings.number("VALKEY_PORT")
        return valkey.Valkey(port=port, username="tester", password="any", decode_responses=True, socket_timeout=5)

    def answers(self) -> bool:
        """Whether it lets a user in and has read its data."""
        try:
            return self.client.ping()
        except valkey.exceptions.ConnectionError:
            return False

    def has_written(self) -> bool:
        """Whether nothing waits to be written: while the disk is busy with `everysec`, a write waits for up to two seconds."""
        return self.client.info("persistence")["aof_buffer_length"] == 0

    def start(self) -> None:
        """Start it with the data it had; return when it answers."""
        user = self.servers.user
        as_user = {"user": user, "group": user, "extra_groups": []} if user else {}
        self.process = subprocess.Popen(
            self.servers.valkey_command(), cwd=self.servers.home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, **as_user,
        )  # fmt: skip
        wait_for("Valkey", self.answers)

    def kill(self) -> None:
        """Kill it with all that it acknowledged written; return when it is gone."""
        wait_for("the append-only file", self.has_written)
        self.process.kill()
        assert self.process.wait(START_SECONDS) == -signal.SIGKILL
        assert not self.answers()

    def cut(self, kind: str) -> None:
        """End the connections of a kind, `normal` or `pubsub`, that Celery has here."""
        assert self.client.execute_command("CLIENT", "KILL", "TYPE", kind, "USER", "airflow") > 0

    def is_waited_at(self) -> bool:
        """Whether a worker waits for messages: a connection that ends between two waits is made anew without a word."""
        return any("b" in one["flags"] for one in self.client.client_list())

    def age_deliveries(self) -> None:
        """Make every delivery older than the visibility timeout, so that a worker's next look restores it."""
        aged = {tag: 0 for tag in self.client.zrange("unacked_index", 0, -1)}
        assert aged, "nothing is unacknowledged"
        self.client.zadd("unacked_index", aged)

    def waiting(self, queue: str = QUEUE) -> int:
        """How many messages no worker has taken."""
        return sum(self.client.llen(f"{queue}{SEPARATOR}{step}" if step else queue) for step in PRIORITY_STEPS)

    def unacknowledged(self) -> int:
        """How many messages are with workers, or were with one that died."""
        return self.client.hlen("unacked")

    def messages(self) -> tuple[int, int]:
        """How many messages wait in the default queue, and how many are unacknowledged."""
        return self.waiting(), self.unacknowledged()

    def is_empty(self) -> bool:
        """Whether no message is left anywhere."""
        return self.messages() == (0, 0)


@contextlib.contextmanager
def running_broker(root: Path) -> Iterator[Broker]:
    """A broker in a folder, removed with its data at the end."""
    settings = fresh_settings(root)
    with (settings.secrets / "valkey_users").open("a") as users:
        users.write(TESTER)
    servers = Servers.of(settings)
    servers.prepare()
    broker = Broker(settings, servers)
    try:
        broker.start()
        yield broker
    finally:
        if broker.process:
            broker.process.kill()
            broker.process.wait(START_SECONDS)
        if servers.user:
            shutil.rmtree(servers.home)
            with contextlib.suppress(OSError):
                SYSTEM_HOME.rmdir()


@dataclass
class Worker:
    """A Celery worker in a process of its own."""

    name: str
    process: subprocess.Popen
    log: Path

    def count(self, text: str) -> int:
        """How often its log says this."""
        return self.log.read_text().count(text)

    def says(self, text: str, times: int = 1) -> None:
        """Return once the log says this so many times."""
        wait_for(f"{text!r} in {self.log}", lambda: self.count(text) >= times)

    def is_ready(self) -> None:
        """Return once it consumes."""
        self.says(f"{self.name} ready.")

    def send(self, *numbers: signal.Signals) -> None:
        """Send signals to the worker's parent process alone."""
        assert self.process.poll() is None, "the worker has ended already"
        for number in numbers:
            self.process.send_signal(number)

    def exits(self, within: float = START_SECONDS) -> int:
        """Return the exit code once the worker has ended. Raises TimeoutExpired."""
        return self.process.wait(within)

    @property
    def children(self) -> set[int]:
        """The pids of its pool."""
        return {child.pid for child in psutil.Process(self.process.pid).children() if is_there(child)}


def is_there(process: psutil.Process) -> bool:
    """Whether a process has not ended, be it at this very moment."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@dataclass
class Bench:
    """What a test works with: starts workers, sends them tasks, opens gates, reads receipts."""

    folder: Path
    broker: Broker
    sender: Celery
    workers: list[Worker] = field(default_factory=list)

    def begin(
        self, environment: dict[str, str] | None = None, options: dict[str, Any] | None = None, **settings: Any
    ) -> Worker:
        """Start a worker with these options of its command line; `settings` are Celery's."""
        number = len(self.workers) + 1
        name, log = f"smoke@w{number}", self.folder / f"worker-{number}.log"
        given = {"hostname": name, "concurrency": 1, "without_mingle": True, "without_gossip": True} | (options or {})
        variables = os.environ | {
            "SMOKE_FOLDER": str(self.folder),
            "SMOKE_BROKER": self.broker.url,
            "SMOKE_SETTINGS": json.dumps(settings),
        }
        command = [sys.executable, "-m", "tests.contract.smoke.app", json.dumps(given)]
        with log.open("w") as output:
            process = subprocess.Popen(
                command, cwd=REPOSITORY, env=variables | (environment or {}), stdout=output, stderr=output
            )
        self.workers.append(Worker(name, process, log))
        return self.workers[-1]

    def start(self, slots: int = 1, **more: Any) -> Worker:
        """Start a worker and return when it consumes."""
        worker = self.begin(options={"concurrency": slots} | more.pop("options", {}), **more)
        worker.is_ready()
        return worker

    def start_two(self) -> tuple[Worker, Worker]:
        """Start two workers at the same time."""
        first, second = self.begin(), self.begin()
        first.is_ready()
        second.is_ready()
        return first, second

    def send(self, task: str, name: str, **options: Any) -> str:
        """Publish a task; return its id."""
        return self.sender.send_task(task, args=[name], **options).id

    def open(self, *names: str) -> None:
        """Let the tasks of these names finish."""
        for name in names:
            (self.folder / f"{name}.open").touch()

    def receipts(self, what: str, name: str) -> list[int]:
        """The pids of the processes that left such a line, in their order."""
        file = self.folder / "receipts"
        lines = file.read_text().splitlines() if file.exists() else []
        return [int(line.split()[2]) for line in lines if line.split()[:2] == [what, name]]

    def wait(self, what: str, *names: str, within: float = START_SECONDS) -> None:
        """Return once each of the tasks has left this receipt."""
        for name in names:
            wait_for(f"receipt {what} {name}", lambda name=name: bool(self.receipts(what, name)), within)

    def hold(self, *names: str, **keywords: Any) -> None:
        """Send tasks that wait at their gates; return when all of them run and the workers know it."""
        sent = [self.sender.send_task("hold", args=[name], kwargs=keywords).id for name in names]
        self.wait("start", *names)
        # A shutdown that begins before a worker has heard of its task waits for the task: Celery cancels the ones it knows.
        accepted = [f"Task accepted: hold[{task}]" for task in sent]
        wait_for("accepted", lambda: all(any(worker.count(text) for worker in self.workers) for text in accepted))

    def cut(self, kind: str) -> None:
        """End the workers' connections of a kind; the sender's are replaced."""
        self.broker.cut(kind)
        self.disconnect()
        self.sender = make_app(self.broker.url)

    def disconnect(self) -> None:
        """Close the sender with its connections, which remember what they declared in a broker that forgot it."""
        self.sender.close()
        pools.reset()

    def drained(self) -> None:
        """Return once every message is acknowledged."""
        wait_for("the last acknowledgement", self.broker.is_empty)

    def end(self) -> None:
        """Kill the workers that are left, with their pools; what they said stands in the report of a test that failed."""
        for worker in self.workers:
            worker.process.kill()
            worker.process.wait(START_SECONDS)
            print(worker.log.read_text())
        self.disconnect()


@contextlib.contextmanager
def bench(folder: Path, broker: Broker) -> Iterator[Bench]:
    """A bench on an empty broker that runs."""
    if not broker.answers():
        broker.start()
    broker.client.flushall()
    made = Bench(folder, broker, make_app(broker.url))
    try:
        yield made
    finally:
        made.end()
