"""Runs in: contract tests; a real api-server on a real PostgreSQL that airflow-init prepared, with one Dag and one run of it."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import pytest

from airflow_celery_kit.clients import Airflow
from airflow_celery_kit.controller.queues import queue_facts
from airflow_celery_kit.controller.waiting import Due
from airflow_celery_kit.core.guards.file import parse
from airflow_celery_kit.core.health import Verdict
from airflow_celery_kit.journal.outbox import OutboxSupply
from airflow_celery_kit.journal.sink import Sink
from airflow_celery_kit.runtimes import services
from airflow_celery_kit.runtimes.environment import inherited
from airflow_celery_kit.settings import Settings
from tests.contract.servers import Stack, free_ports, fresh_settings, from_wheels, wait_for

INIT, SERVER = "airflow-init-1", "airflow-apiserver-1"
READ = """
from airflow.cli.cli_parser import get_parser
arguments = get_parser().parse_args(["dags", "reserialize"])
arguments.func(arguments)
"""
PREPARE = f"""
from airflow_celery_kit.runtimes import prepare
prepare.main()
{READ}
"""
DAG = '''
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TaskGroup, task

with DAG("sales", schedule=None, tags=["hush"]):

    @task
    def extract(token: str) -> list[int]:
        """Make what is loaded."""

    @task(trigger_rule="all_done")
    def load(row: int) -> None:
        """Take one."""

    with TaskGroup("after"):
        report = EmptyOperator(task_id="report")
    load.expand(row=extract("hush")) >> report
'''
# What no refused request may change; Airflow's own audit log is written by routes of Airflow's too.
TABLES = {
    "airflow": (
        "dag_run",
        "task_instance",
        "log",
        "kit.change",
        "kit.withdrawal",
        "kit.paused",
        "kit.worker_order",
        "kit.guard",
        "kit.guard_suspended",
        "kit.breaker",
        "kit.guard_event",
    ),
    "kit": ("journal.event", "journal.task", "journal.workflow", "journal.graph"),
}


SEEN = """
INSERT INTO kit.seen (what, at, facts) VALUES ('queues', now() - make_interval(secs => %s), %s)
ON CONFLICT (what) DO UPDATE SET at = excluded.at, facts = excluded.facts
"""
JUDGED = SEEN.replace("'queues'", "'health'")
RULES = "limits: {crm-db: {slots: 2, when: {dag: sales}}}\nbreakers: {crm: {when: {dag: sales}}}"
WORKER = "airflow-worker-1"
QUEUE = queue_facts("default", [{"step": 3, "waiting": 2, "oldest_seconds": None}], 4, Due(1, 2.5))


@dataclass
class Server:
    """The api-server with its databases; `api` is its administrator's client."""

    stack: Stack
    api: httpx.Client
    pid: int

    def kit(self, path: str, method: str = "GET", **more: Any) -> httpx.Response:
        """Ask one route of the kit."""
        return self.api.request(method, f"/kit/v1{path}", **more)

    def user(self, name: str, role: str) -> httpx.Client:
        """Make a user and return a client that has logged in as them."""
        made = {"username": name, "password": name, "email": f"{name}@localhost", "first_name": name, "last_name": name}
        self.api.post("/auth/fab/v1/users", json=made | {"roles": [{"name": role}]}).raise_for_status()
        settings = self.stack.settings
        login = {"AIRFLOW_ADMIN_USER": name, "AIRFLOW_ADMIN_PASSWORD": name}
        return Airflow(Settings(settings.root, {**settings.values, **login})).http

    def start(self) -> str:
        """Start a run of the Dag and return its id, once it is on record."""
        run = self.kit("/workflows", "POST", json={"dag_id": "sales"}).raise_for_status().json()["run_id"]
        self.carry()
        return run

    def carry(self) -> None:
        """Carry all events to the journal, as the scheduler does."""
        supply = OutboxSupply(lambda: psycopg2.connect(self.stack.address("airflow", "airflow")), lambda conf: conf)
        sink = Sink(self.stack.address("journal_scheduler", "kit"))
        try:
            supply.carry(sink)
        finally:
            supply.drop()
            sink.drop()

    def query(self, statement: str, *values: Any, database: str = "airflow") -> list[tuple]:
        """Run one statement as the superuser."""
        return self.stack.query(statement, *values, database=database)

    def snapshot(self) -> dict[str, tuple]:
        """How many rows each table has, and what they hold."""
        look = "SELECT count(*), md5(coalesce(string_agg(r::text, '' ORDER BY r::text), '')) FROM {} AS r"
        return {
            name: self.query(look.format(name), database=database)[0]
            for database, names in TABLES.items()
            for name in names
        }


def run_once(settings: Settings, code: str = PREPARE) -> None:
    """Do what airflow-init does, and read the Dag."""
    environment = services.environment_of(settings, INIT, inherited({"PATH": "/usr/bin:/bin"}))
    # A Dag that was read a moment ago is written all the same.
    environment["AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL"] = "0"
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The api-server as the embedded runtime starts it."""
    with serving(tmp_path_factory.mktemp("rest")) as started:
        yield started


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Give an api-server with databases of its own, which end with it."""
    settings = fresh_settings(folder)
    (settings.values["AIRFLOW_PORT"],) = free_ports(1)
    for name in ("dags", "plugins", "var/run", "var/airflow/logs"):
        (settings.root / name).mkdir(parents=True, exist_ok=True)
    (settings.root / "dags" / "sales.py").write_text(DAG)
    # As the embedded runtime's own, which belong to whoever runs it.
    with from_wheels(settings) as stack:
        wait_for("PostgreSQL and Valkey", stack.answers)
        run_once(settings)
        environment = services.environment_of(settings, SERVER, inherited({"PATH": "/usr/bin:/bin"}))
        with (settings.root / "apiserver.log").open("w") as log:
            process = subprocess.Popen(
                services.command_of(settings, SERVER), env=environment, cwd=settings.root, stdout=log, stderr=log
            )
        try:
            yield Server(stack, logged_in(settings, process), process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            print((settings.root / "apiserver.log").read_text()[-5000:])
            shutil.rmtree(settings.var, ignore_errors=True)


def logged_in(settings: Settings, process: subprocess.Popen) -> httpx.Client:
    """A client of the server, once it answers."""

    def answers() -> bool:
        assert process.poll() is None, (settings.root / "apiserver.log").read_text()[-3000:]
        try:
            return httpx.get(f"{settings.url('AIRFLOW_PORT')}/api/v2/version", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    wait_for("the api-server", answers, 120)
    return Airflow(settings).http


@pytest.fixture
def seen(server: Server) -> Iterator[Callable[..., None]]:
    """Writes what the controller saw, so many seconds ago: a queue, and one worker as it is told to be."""

    def write(age: float = 0, live: bool = True, **worker: Any) -> None:
        more = {"busy": 0.5, "memory_bytes": 10**9, "host": "here", "since": time.time(), "drained": False}
        said = {"name": WORKER, "queues": ["default"], "slots": 4, "held": 0, **more, **worker}
        server.query(SEEN, age, json.dumps({"queues": [QUEUE], "delivered": 0, "workers": [said] if live else []}))

    yield write
    server.query("DELETE FROM kit.worker_order")
    server.query("DELETE FROM kit.seen")


@pytest.fixture
def judged(server: Server) -> Iterator[Callable[..., None]]:
    """Writes verdicts as the controller does, so many seconds ago."""

    def write(*verdicts: Verdict, age: float = 0, **more: Any) -> None:
        server.query(JUDGED, age, json.dumps({"verdicts": [one.as_dict() for one in verdicts], **more}))

    yield write
    server.query("DELETE FROM kit.seen")


@pytest.fixture
def guards(server: Server) -> Iterator[Server]:
    """A limit and a breaker for the one Dag."""
    server.query("SELECT kit.guards_apply(%s)", json.dumps(parse(RULES).rows()))
    yield server
    server.query("SELECT kit.guards_apply('[]')")
    server.query("TRUNCATE kit.breaker, kit.guard_event, kit.held, kit.admitted, kit.guard_suspended")
