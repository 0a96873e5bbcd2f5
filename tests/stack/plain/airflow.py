"""Runs in: stack tests; an Airflow of somebody's own, with Celery, PostgreSQL and Valkey, as its own documentation has it set up."""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from airflow_celery_kit.knobs import fernet_key
from tests.contract.servers import Stack, free_ports
from tests.stack.harness.wait import wait_for

HERE = Path(__file__).parent
KEPT = ("PATH", "HOME", "LANG", "TMPDIR")
PARTS = {
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "api-server": ("api-server",),
    "worker": ("celery", "worker", "--skip-serve-logs", "--concurrency", "2"),
}
END_SECONDS = 60.0


@dataclass
class Airflow:
    """Its environment and its processes; `python` is the one that it is installed in."""

    home: Path
    python: Path
    servers: Stack
    environment: dict[str, str] = field(default_factory=dict)
    running: dict[str, subprocess.Popen] = field(default_factory=dict)

    def address(self, database: str) -> str:
        """A libpq URI of one of its databases, whose role has the same name."""
        return self.servers.address(database, database, password=database)

    def run(self, *arguments: str, **more: str) -> str:
        """Run a Python command to its end and return what it prints."""
        command = [str(self.python), *arguments]
        ended = subprocess.run(
            command,
            env=self.environment | more,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-4000:]
        return ended.stdout + ended.stderr

    def start(self, *parts: str, **more: str) -> None:
        """Start parts of it, each with a log of its own."""
        for part in parts:
            with self.log(part).open("ab") as log:
                self.running[part] = subprocess.Popen(
                    [str(self.python), "-m", "airflow", *PARTS[part]], env=self.environment | more, cwd=self.home,
                    stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip

    def stop(self, *parts: str) -> None:
        """End parts of it, and whatever they have started."""
        for part in parts:
            self.running[part].send_signal(signal.SIGINT if part == "scheduler" else signal.SIGTERM)
        for part in parts:
            process = self.running.pop(part)
            with suppress(subprocess.TimeoutExpired):
                process.wait(END_SECONDS)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def log(self, part: str) -> Path:
        """Where a part's words are."""
        return self.home / f"{part}.log"

    def said(self, part: str) -> str:
        """What a part has said."""
        return self.log(part).read_text(errors="replace")

    def sql(self, database: str, statement: str, *values: Any) -> list[tuple]:
        """Run one statement in one of its databases."""
        return self.servers.query(statement, *values, role=database, database=database, password=database)

    @property
    def url(self) -> str:
        """Where the api-server is."""
        return f"http://127.0.0.1:{self.environment['AIRFLOW__API__PORT']}"

    @property
    def http(self) -> httpx.Client:
        """A client that has logged in."""
        client = httpx.Client(base_url=self.url, timeout=30, trust_env=False)
        token = client.get("/auth/token").raise_for_status().json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        return client

    def answers(self) -> bool:
        """Whether the api-server does, and knows every Dag."""
        try:
            return self.http.get("/api/v2/dags").json()["total_entries"] == 3
        except (httpx.HTTPError, KeyError):
            return False

    def wait_run(self, dag: str, run: str, seconds: float = 60) -> str:
        """Wait until a run has ended and return its state."""
        state = "SELECT state FROM dag_run WHERE dag_id = %s AND run_id = %s AND state IN ('success', 'failed')"
        return wait_for(f"{dag}/{run}", lambda: self.sql("plain", state, dag, run), seconds, self.last_words)[0][0]

    def last_words(self) -> str:
        """What its parts said last."""
        return "\n".join(f"--- {part}\n{self.said(part)[-3000:]}" for part in PARTS if self.log(part).exists())


def settings(home: Path, servers: Stack) -> dict[str, str]:
    """Return what its owner has set; nothing of it is the kit's."""
    (port,), database = free_ports(1), f"127.0.0.1:{servers.settings['POSTGRES_PORT']}/plain"
    broker = f"airflow:{servers.settings['VALKEY_PASSWORD']}@127.0.0.1:{servers.settings['VALKEY_PORT']}/0"
    own = {
        "CORE__EXECUTOR": "CeleryExecutor", "CORE__LOAD_EXAMPLES": "False", "CORE__DAGS_FOLDER": str(home / "dags"),
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False", "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/", "CORE__FERNET_KEY": fernet_key(),
        "API__PORT": port, "API__SECRET_KEY": secrets.token_hex(32), "API_AUTH__JWT_SECRET": secrets.token_hex(64),
        "DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://plain:plain@{database}",
        "CELERY__BROKER_URL": f"redis://{broker}", "CELERY__RESULT_BACKEND": f"db+postgresql://plain:plain@{database}",
    }  # fmt: skip
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | {"AIRFLOW_HOME": str(home), "NO_PROXY": "127.0.0.1"} | {f"AIRFLOW__{n}": v for n, v in own.items()}


@contextmanager
def prepared(home: Path, python: Path, servers: Stack) -> Iterator[Airflow]:
    """An Airflow with its schema, an empty database `records` for the journal, and no process yet; ends those that were started."""
    shutil.copytree(HERE / "dags", home / "dags")
    for name in ("plain", "records"):
        servers.query(f"CREATE ROLE {name} LOGIN PASSWORD '{name}'")
        servers.query(f"CREATE DATABASE {name} OWNER {name}")
    made = Airflow(home, python, servers, settings(home, servers))
    try:
        made.run("-m", "airflow", "db", "migrate")
        yield made
    finally:
        made.stop(*tuple(made.running))
