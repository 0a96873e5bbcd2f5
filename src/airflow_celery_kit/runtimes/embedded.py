"""Runs in: the command line; the stack as ordinary processes of this machine, under Supervisor."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from airflow_celery_kit import env_file
from airflow_celery_kit.errors import KitError, NotReadyError, NotRunningError
from airflow_celery_kit.knobs import KNOBS
from airflow_celery_kit.runtimes import changed, leaving, log_files, ports, services
from airflow_celery_kit.runtimes.base import Instance, Say
from airflow_celery_kit.runtimes.environment import LOOPBACK, broker, inherited
from airflow_celery_kit.runtimes.servers import Servers
from airflow_celery_kit.runtimes.services import service_of
from airflow_celery_kit.runtimes.supervision import Supervision, kill_tree
from airflow_celery_kit.settings import Settings

SERVER_INSTANCES = ("postgres-1", "valkey-1")
PORT_KNOBS = {"AIRFLOW_PORT": "the UI", "FLOWER_PORT": "Flower", "POSTGRES_PORT": "PostgreSQL", "VALKEY_PORT": "Valkey"}
STATES = {
    "RUNNING": "running",
    "STARTING": "starting",
    "BACKOFF": "restarting",
    "STOPPING": "stopping",
    "STOPPED": "stopped",
}
SERVER_SECONDS = 60.0
PROBE_SECONDS = 15.0


@dataclass
class Embedded:
    """Implements `base.Runtime`."""

    settings: Settings
    name: str = "embedded"

    @property
    def supervision(self) -> Supervision:
        """The supervisor of this checkout."""
        return Supervision(self.settings)

    def expected(self) -> list[str]:
        """See `base.Runtime`."""
        return services.instances(self.settings)

    def start(self, say: Say) -> None:
        """See `base.Runtime`. Ports that others hold are replaced by free ones, recorded in `.env` and told."""
        if not self.supervision.alive:
            self._end_orphans(say)
            self._find_ports(say)
        say("preparing PostgreSQL and Valkey")
        Servers.of(self.settings).prepare()
        for folder in ("airflow/logs", "airflow/spool", "output"):
            (self.settings.var / folder).mkdir(parents=True, exist_ok=True)
        self._launch(say)
        self._start_servers(say)
        self._run_init(say)
        if stale := changed.among(self.settings, set(self._running()) & set(self.expected())):
            self._stop_all(stale, say, "these start anew with changed settings")
        say("starting Airflow")
        for instance in self.expected():
            self.supervision.start(instance)

    def down(self, say: Say, delete_data: bool) -> None:
        """See `base.Runtime`."""
        if self.supervision.alive:
            for title, wanted in STOP_ORDER:
                self._stop_all([name for name in self._running() if wanted(name)], say, title)
            self.supervision.shut_down()
        self._end_orphans(say)
        if delete_data:
            Servers.of(self.settings).delete_data()
            for folder in ("airflow", "log", "run"):
                shutil.rmtree(self.settings.var / folder, ignore_errors=True)

    def scale(self, workers: int, say: Say) -> None:
        """See `base.Runtime`."""
        self._require_up()
        self.settings = env_file.record(self.settings, {"WORKERS": str(workers)})
        self.supervision.write(self.expected())
        added, removed = self.supervision.reload()
        pool = {name for name in self.expected() if service_of(name) == "airflow-worker"}
        for instance in sorted({*added, *pool} - set(self._running())):
            say(f"starting {instance}")
            self.supervision.start(instance)
        self._stop_all(removed, say, "workers that leave finish their tasks")
        for instance in removed:
            self.supervision.rpc.removeProcessGroup(instance)

    def stop(self, instances: list[str], say: Say) -> None:
        """See `base.Runtime`."""
        self._stop_all(instances, say, "stopping")

    def start_instances(self, instances: list[str]) -> None:
        """See `base.Runtime`."""
        for instance in instances:
            self.supervision.start(instance)

    def kill(self, instance: str) -> None:
        """See `base.Runtime`."""
        kill_tree(self.supervision.pid(services.resolve(instance, self.names())))

    def names(self) -> list[str]:
        """See `base.Runtime`."""
        self._require_up()
        return list(self.supervision.processes())

    def instances(self, names: Collection[str] = ()) -> list[Instance]:
        """See `base.Runtime`. Health checks run now, all at the same time."""
        if not self.supervision.alive and (orphans := self.supervision.session.processes()):
            remark = f"it died and left {len(orphans)} processes behind: 'kit up' or 'kit down' ends them"
            return [Instance("supervisor", "supervisor", "dead", False, None, None, None, remark)]
        found = self.supervision.processes()
        looked_at = [info for name, info in found.items() if not names or name in names]
        with ThreadPoolExecutor(max_workers=16) as pool:
            return list(pool.map(self._report, looked_at))

    def logs(self, names: list[str], follow: bool, lines: int) -> Iterator[str]:
        """See `base.Runtime`."""
        return log_files.read(self._logs(names), follow, lines)

    def history(self, names: list[str]) -> dict[str, Iterator[str]]:
        """See `base.Runtime`."""
        return {path.stem: log_files.history(path) for path in self._logs(names)}

    def _logs(self, names: list[str]) -> list[Path]:
        known = sorted(path.stem for path in self.supervision.logs.glob("*-*.log"))
        if not known:
            raise NotRunningError("the stack is not up and left no logs: run 'kit up'")
        return [self.supervision.logs / f"{name}.log" for name in services.matching(names, known)]

    def ask(self, service: str, command: list[str]) -> str:
        """See `base.Runtime`."""
        self._require_up()
        environment = services.environment_of(self.settings, f"{service}-1", inherited(os.environ))
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise KitError(f"{service}: {ended.stderr.strip().splitlines()[-1]}")
        return ended.stdout

    def airflow(self, arguments: list[str]) -> int:
        """See `base.Runtime`."""
        self._require_up()
        environment = services.environment_of(self.settings, "airflow-scheduler-1", inherited(os.environ))
        return subprocess.run(["airflow", *arguments], env=environment, check=False).returncode

    def _end_orphans(self, say: Say) -> None:
        if orphans := self.supervision.session.processes():
            say(f"ending {len(orphans)} processes that outlasted their services")
            self.supervision.session.end()

    def _require_up(self) -> None:
        if not self.supervision.alive:
            raise NotRunningError("the stack is not up: run 'kit up'")

    def _running(self) -> dict[str, int]:
        return {name: info["pid"] for name, info in self.supervision.processes().items() if info["pid"]}

    def _find_ports(self, say: Say) -> None:
        moved: dict[str, str] = {}
        known = {self.settings.number(name) for name in KNOBS if name.endswith("_PORT")}
        for knob, what in PORT_KNOBS.items():
            wanted = self.settings.number(knob)
            host = self.settings["BIND_ADDRESS"] if knob in ("AIRFLOW_PORT", "FLOWER_PORT") else LOOPBACK
            free = ports.next_free(wanted, host, frozenset((known - {wanted}) | set(map(int, moved.values()))))
            if free != wanted:
                moved[knob] = str(free)
                say(f"port {wanted} is taken: {what} gets {free}, recorded as {knob} in .env")
        if moved:
            self.settings = env_file.record(self.settings, moved)

    def _launch(self, say: Say) -> None:
        self.supervision.write(self.expected())
        if self.supervision.alive:
            _, removed = self.supervision.reload()
            self._stop_all(removed, say, "workers that leave finish their tasks")
            for instance in removed:
                self.supervision.rpc.removeProcessGroup(instance)
        else:
            self.supervision.launch()

    def _start_servers(self, say: Say) -> None:
        say("starting PostgreSQL and Valkey")
        for instance in SERVER_INSTANCES:
            self.supervision.start(instance)
        deadline = time.monotonic() + SERVER_SECONDS
        while waiting := [name for name in SERVER_INSTANCES if self._probe(name)]:
            if time.monotonic() > deadline:
                raise NotReadyError(
                    f"{waiting[0]} does not answer after {SERVER_SECONDS:.0f} s: see 'kit logs {waiting[0]}'"
                )
            time.sleep(0.2)

    def _run_init(self, say: Say) -> None:
        say("airflow-init: roles, databases, schema, administrator")
        environment = services.environment_of(self.settings, "airflow-init-1", inherited(os.environ))
        command = [sys.executable, *services.command_of(self.settings, "airflow-init-1")[1:]]
        log = self.supervision.logs / "airflow-init-1.log"
        with log.open("w") as output:
            ended = subprocess.run(command, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False)
        if ended.returncode:
            last = log.read_text().strip().splitlines()[-1:] or ["no output"]
            raise NotReadyError(f"airflow-init failed: {last[0]} (all of it: {log})")

    def _stop_all(self, names: list[str], say: Say, title: str) -> None:
        for name in names:
            self.supervision.begin_stop(name)
        deadline = (
            time.monotonic() + 15 + max((services.stop_seconds(self.settings, name) for name in names), default=0)
        )
        while left := {name: pid for name, pid in self._running().items() if name in names}:
            say(leaving.told(title, _tasks(left)))
            if time.monotonic() > deadline:
                late = next(iter(left))
                raise KitError(f"{late} did not stop: see 'kit logs {late}'; 'kit kill {late}' ends it")
            time.sleep(0.2)

    def _report(self, info: Any) -> Instance:
        name, state = info["name"], STATES.get(info["statename"], "failed")
        problem = self._probe(name) if state == "running" else ""
        healthy = not problem if state in ("running", "starting") else False
        return Instance(service_of(name), name, state, healthy, info["pid"] or None, None, name, problem)

    def _probe(self, instance: str) -> str:
        """Run an instance's health check; return nothing when it passes, else what it said."""
        command, environment = PROBES.get(instance, _airflow_probe)(self.settings, instance)
        try:
            ended = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return f"no answer within {PROBE_SECONDS:.0f} s"
        said = (ended.stdout.strip() or ended.stderr.strip() or "check failed").splitlines()[0]
        return "" if ended.returncode == 0 else said


def _tasks(left: dict[str, int]) -> dict[str, int | None]:
    """Return how many tasks each worker runs, None for what is no worker."""
    if not any(map(services.is_worker, left)):
        return dict.fromkeys(left)
    parents = {process.pid: process.info["ppid"] for process in psutil.process_iter(["ppid"])}
    return {
        name: leaving.running_tasks(parents, {pid}) if services.is_worker(name) else None for name, pid in left.items()
    }


Check = tuple[list[str], dict[str, str]]


def _airflow_probe(settings: Settings, instance: str) -> Check:
    return services.probe_of(settings, instance), services.environment_of(settings, instance, inherited(os.environ))


def _postgres_probe(settings: Settings, _: str) -> Check:
    psql = str(Servers.of(settings).postgres_bin / "psql")
    command = [psql, "-h", LOOPBACK, "-p", settings["POSTGRES_PORT"], "-U", "postgres", "-qAtc", "select 1"]
    return command, inherited(os.environ) | {
        "PGPASSFILE": str(settings.secrets / "pgpass_superuser"),
        "PGCONNECT_TIMEOUT": "5",
    }


def _valkey_probe(settings: Settings, _: str) -> Check:
    return [sys.executable, "-m", f"{services.PROBES}.broker"], inherited(os.environ) | broker(settings)


PROBES: dict[str, Callable[[Settings, str], Check]] = {"postgres-1": _postgres_probe, "valkey-1": _valkey_probe}


STOP_ORDER: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("workers finish their tasks", services.is_worker),
    ("stopping Airflow", lambda name: name not in SERVER_INSTANCES),
    ("stopping PostgreSQL and Valkey", lambda name: True),
)
