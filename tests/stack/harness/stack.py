"""Runs in: stack tests; one running stack, driven through `kit`, its APIs and the machine, the same on both runtimes."""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import valkey

from airflow_celery_kit import dag_runs
from airflow_celery_kit import status as look
from airflow_celery_kit.clients import Airflow, registered_workers
from airflow_celery_kit.controller.broker import is_canary
from airflow_celery_kit.runtimes import docker_engine
from airflow_celery_kit.runtimes.choose import RUNTIMES
from airflow_celery_kit.runtimes.environment import LOOPBACK
from airflow_celery_kit.runtimes.servers import Servers
from airflow_celery_kit.runtimes.supervision import Supervision
from airflow_celery_kit.settings import Settings
from airflow_celery_kit.worker.broker import PRIORITY_STEPS, SEPARATOR
from tests.stack.harness.processes import process_environment
from tests.stack.harness.wait import wait_for
from tests.stack.harness.workspace import UP_SECONDS, clean_environment, one_start_at_a_time

# Longer than an api-server needs for any answer on a machine that others keep busy.
API_SECONDS = 60.0


@dataclass
class Stack:
    """A stack in a checkout of its own."""

    root: Path
    runtime: str
    logged_in: dict[tuple[str, ...], Airflow] = field(default_factory=dict, init=False, repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its user's shell."""
        return clean_environment() | {"RUNTIME": self.runtime}

    @property
    def settings(self) -> Settings:
        """What its `.env` says now."""
        return Settings.load(self.root)

    @property
    def output(self) -> Path:
        """Where tasks leave files, and find them."""
        return self.root / "var" / "output"

    @property
    def api(self) -> Airflow:
        """Airflow's REST API, logged in once: Airflow takes a tenth of a second of CPU for each login."""
        settings = self.settings
        login = tuple(settings[name] for name in ("AIRFLOW_PORT", "AIRFLOW_ADMIN_USER", "AIRFLOW_ADMIN_PASSWORD"))
        if login not in self.logged_in:
            self.logged_in = {login: Airflow(settings, API_SECONDS)}
        return self.logged_in[login]

    def make(self, *arguments: str, timeout: float = UP_SECONDS) -> subprocess.CompletedProcess[str]:
        """Run make in the checkout; it must succeed."""
        with one_start_at_a_time() if "up" in arguments else contextlib.nullcontext():
            return self.call(["make", *arguments], timeout=timeout, check=True)

    def kit(self, *arguments: str, check: bool = True, timeout: float = UP_SECONDS) -> subprocess.CompletedProcess[str]:
        """Run kit in the checkout."""
        return self.call([".venv/bin/kit", *arguments], timeout=timeout, check=check)

    def kit_json(self, *arguments: str) -> Any:
        """Run kit and return the JSON it prints, whatever its exit code."""
        ended = self.kit(*arguments, "--json", check=False)
        assert ended.stdout, f"kit {arguments} ended with {ended.returncode}\n{ended.stderr}"
        return json.loads(ended.stdout)

    def call(
        self, command: list[str], timeout: float = UP_SECONDS, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the checkout, showing its output when it fails."""
        ended = subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check:
            assert ended.returncode == 0, (
                f"{command} ended with {ended.returncode}\n{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}"
            )
        return ended

    def status(self) -> dict[str, Any]:
        """Return what `kit status --json` says of everything but queues.

        In this process: a look that starts another one each time takes the CPU from what it waits for.
        """
        settings = self.settings
        seen = look.collect(settings, RUNTIMES[self.runtime](settings))
        return dict(json.loads(json.dumps(seen.as_dict())))

    def instance(self, name: str) -> dict[str, Any]:
        """Return one part of the status, an empty dictionary when it is not there. Nothing else is looked at, as that costs."""
        return next((one for one in self.instances(name) if one["instance"] == name), {})

    def instances(self, *names: str) -> list[dict[str, Any]]:
        """Return the named parts of the status, or all."""
        settings = self.settings
        return [one.as_dict() for one in RUNTIMES[self.runtime](settings).instances(names)]

    def worker_names(self, prefix: str = "airflow-worker-") -> set[str]:
        """Return the hostnames of running worker instances of the default pool."""
        found = [one for one in self.instances() if one["service"] == "airflow-worker" and one["state"] == "running"]
        return {one["hostname"] for one in found}

    def registered(self) -> set[str]:
        """Return the names of the workers that answer over the broker; nothing while Flower, which asks them, is away."""
        return {worker.name for worker in registered_workers(self.settings) or ()}

    def wait_ready(self, seconds: float = 180) -> dict[str, Any]:
        """Wait until the stack says that it is ready."""
        return wait_for(
            "a ready stack",
            lambda: (seen := self.status())["ready"] and seen,
            seconds,
            lambda: self.status()["reasons"],
        )

    def run_dag(self, dag_id: str, conf: dict[str, Any] | None = None, timeout: float = 240) -> dict[str, Any]:
        """Run a Dag to its end and return `kit run --wait --json`."""
        self.wait_dag(dag_id)
        arguments = ["run", dag_id, "--wait", "--json", *(["--conf", json.dumps(conf)] if conf else [])]
        ended = self.kit(*arguments, check=False, timeout=timeout)
        assert ended.stdout, ended.stderr
        return dict(json.loads(ended.stdout))

    def start_dag(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Start a run as `kit run` does and return its id."""
        self.wait_dag(dag_id)
        return dag_runs.trigger(self.api, dag_id, conf)[0]

    def release(self, run_id: str) -> None:
        """Let the tasks of a run of `slow` or `receipts` end at once, those that run and those that will."""
        (self.output / f"{file_name(run_id)}.released").touch()

    def wait_dag(self, dag_id: str, seconds: float = 60) -> None:
        """Wait until the Dag processor has seen a Dag."""
        api = self.api

        def seen() -> bool:
            try:
                return bool(api.get(f"/dags/{dag_id}"))
            except httpx.HTTPStatusError:
                return False

        wait_for(f"Dag {dag_id}", seen, seconds, lambda: api.get("/importErrors"))

    def task(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """Return a task instance from the REST API."""
        return self.api.get(
            f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}" + (f"/{map_index}" if map_index >= 0 else "")
        )

    def wait_task(
        self, dag_id: str, run_id: str, task_id: str, states: Iterable[str], seconds: float = 90
    ) -> dict[str, Any]:
        """Wait until a task is in one of `states`."""
        wanted = set(states)
        return wait_for(
            f"{dag_id}.{task_id} to be {wanted}",
            lambda: (seen := self.task(dag_id, run_id, task_id))["state"] in wanted and seen,
            seconds,
            lambda: self.task(dag_id, run_id, task_id),
        )

    def wait_run(self, dag_id: str, run_id: str, seconds: float = 180) -> str:
        """Wait until a run has ended; return its state."""
        look = lambda: self.api.get(f"/dags/{dag_id}/dagRuns/{run_id}")["state"]  # noqa: E731
        return wait_for(f"{run_id} to end", lambda: (state := look()) in ("success", "failed") and state, seconds, look)

    def task_log(self, dag_id: str, run_id: str, task_id: str, attempt: int = 1) -> str:
        """Return what the UI shows as a task's log."""
        found = self.api.get(
            f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{attempt}", full_content=True
        )
        return json.dumps(found["content"])

    def log(self, instance: str, lines: int) -> str:
        """Return what `kit logs` prints of an instance or a service, read in this process."""
        settings = self.settings
        return "\n".join(RUNTIMES[self.runtime](settings).logs([instance], False, lines))

    def flower(self, login: bool = True) -> httpx.Client:
        """Return a client of Flower."""
        auth = (self.settings["FLOWER_USER"], self.settings["FLOWER_PASSWORD"]) if login else None
        return httpx.Client(base_url=self.settings.url("FLOWER_PORT"), auth=auth, timeout=20, trust_env=False)

    def start_instance(self, name: str) -> None:
        """Start one stopped instance and nothing else."""
        if self.runtime == "compose":
            docker_engine.run("start", f"{self.settings.project}-{name}")
        else:
            Supervision(self.settings).start(name)

    def address(self, instance: str, port_knob: str, inside: int) -> tuple[str, int]:
        """Return where a server is reached from here: its loopback port, or its container's own address."""
        if self.runtime == "compose":
            networks = docker_engine.inspect(f"{self.settings.project}-{instance}")[0]["NetworkSettings"]["Networks"]
            return next(iter(networks.values()))["IPAddress"], inside
        return LOOPBACK, self.settings.number(port_knob)

    def broker(self) -> valkey.Valkey:
        """Return a client of the broker as Celery's user."""
        host, port = self.address("valkey-1", "VALKEY_PORT", 6379)
        return valkey.Valkey(
            host=host, port=port, username="airflow", password=self.settings["VALKEY_PASSWORD"], socket_timeout=10
        )

    def waiting(self, queue: str = "default") -> int:
        """Return how many tasks wait in a queue, whatever their priority; health's canary, which waits as they do, is none."""
        return sum(not is_canary(raw) for raw in self.messages(queue))

    def messages(self, queue: str = "default") -> list[bytes]:
        """Return what the broker holds of a queue, whatever its priority."""
        broker = self.broker()
        lists = [f"{queue}{SEPARATOR}{step}" if step else queue for step in PRIORITY_STEPS]
        return [raw for name in lists for raw in broker.lrange(name, 0, -1)]

    def sql(self, statement: str, *values: Any, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as the superuser, committed at once."""
        host, port = self.address("postgres-1", "POSTGRES_PORT", 5432)
        password = self.settings["POSTGRES_PASSWORD"]
        with contextlib.closing(
            psycopg2.connect(host=host, port=port, user="postgres", dbname=database, password=password)
        ) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, values or None)
                return cursor.fetchall() if cursor.description else []

    def cancel_consumer(self, worker: str, queue: str) -> None:
        """Let a worker forget a queue, as a lost subscription does; it still answers ping."""
        name = self.instance(worker)["hostname"]
        code = (
            "from airflow.providers.celery.executors.celery_executor import app;"
            f"print(app.control.cancel_consumer({queue!r}, destination=['celery@{name}'], reply=True))"
        )
        assert "no longer consuming" in self.inside("airflow-scheduler-1", code).stdout

    def leader(self) -> str:
        """Return the controller that holds the lease now, nothing while nobody does."""
        rows = self.sql(
            "SELECT holder FROM kit.lease WHERE name = 'repair' AND expires_at > clock_timestamp()", database="airflow"
        )
        return str(rows[0][0]) if rows else ""

    def wipe_broker(self) -> None:
        """Remove the data of a broker that is stopped."""
        if self.runtime == "compose":
            project = self.settings.project
            command = ["run", "--rm", "--user", "0", "--volume", f"{project}_valkey-data:/data", "--entrypoint", "rm"]
            docker_engine.run(*command, f"{project}-valkey", "-rf", "/data/appendonlydir", "/data/dump.rdb")
        else:
            for name in ("appendonlydir", "dump.rdb"):
                path = Servers.of(self.settings).valkey_data / name
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def inside(self, instance: str, code: str) -> subprocess.CompletedProcess[str]:
        """Run Python code with the environment of a service's own process."""
        if self.runtime == "compose":
            container = f"{self.settings.project}-{instance}"
            return self.call(["docker", "exec", container, "python", "-c", code], check=False)
        return subprocess.run(
            [str(self.root / ".venv/bin/python"), "-c", code],
            env=process_environment(self.instance(instance)["pid"]), cwd=self.root, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def remove(self) -> None:
        """Stop the stack and remove everything it made."""
        if (self.root / ".venv/bin/kit").exists() and (self.root / ".env").exists():
            project = self.settings.project
            self.kit("down", "--delete-data", "--yes", check=False)
            if self.runtime == "compose":
                images = [f"{project}-{name}" for name in ("airflow", "airflow:next", "postgres", "valkey")]
                self.call(["docker", "image", "rm", *images], check=False)
        shutil.rmtree(self.root, ignore_errors=True)


def file_name(run_id: str) -> str:
    """Return how files about a run are named."""
    return run_id.replace("/", "_").replace(":", "_")
