"""Runs in: the command line; Supervisor's configuration and remote control for the embedded runtime.

Each instance is a program of its own, so that adding or removing one restarts none of the others.
"""

import configparser
import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from airflow_celery_kit.errors import MachineError, NotRunningError
from airflow_celery_kit.runtimes import services
from airflow_celery_kit.runtimes.environment import inherited
from airflow_celery_kit.runtimes.orphans import Session
from airflow_celery_kit.runtimes.servers import Servers
from airflow_celery_kit.settings import Settings

# sun_path holds 108 bytes with its terminator.
SOCKET_PATH_LIMIT = 100
# An instance that dies at once is started again without end, a second later each time.
RETRIES = 1_000_000


@dataclass(frozen=True)
class Supervision:
    """The supervisor of one checkout."""

    settings: Settings

    @property
    def folder(self) -> Path:
        """Folder of configuration, process ids and beat files."""
        return self.settings.var / "run"

    @property
    def logs(self) -> Path:
        """Folder of one log file an instance."""
        return self.settings.var / "log"

    @property
    def socket(self) -> Path:
        """The supervisor's control socket; in /tmp where the checkout's path is too long for one."""
        here = self.folder / "supervisor.sock"
        if len(os.fsencode(here)) < SOCKET_PATH_LIMIT:
            return here
        key = hashlib.sha256(str(self.settings.root).encode()).hexdigest()[:12]
        return Path("/tmp", f"airflow-celery-kit-{os.geteuid()}-{key}", "supervisor.sock")  # noqa: S108

    @property
    def session(self) -> Session:
        """The session of the supervisor, remembered outside the folder that a restart may clear."""
        return Session(self.settings.var / "supervisor.session")

    @property
    def configuration(self) -> Path:
        """The file that `write` makes."""
        return self.folder / "supervisord.conf"

    @property
    def rpc(self) -> Any:
        """The supervisor's remote interface; its calls raise OSError when it is away and xmlrpc.client.Fault on refusal."""
        transport = SupervisorTransport(None, None, f"unix://{self.socket}")
        return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor

    @property
    def alive(self) -> bool:
        """Whether the supervisor answers."""
        try:
            return bool(self.rpc.getState()["statename"] == "RUNNING")
        except (OSError, xmlrpc.client.Error):
            return False

    def write(self, instances: list[str]) -> None:
        """Write the configuration that runs `instances`."""
        for folder in (self.folder, self.logs, self.socket.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.stat().st_uid != os.geteuid():
                raise MachineError(f"{folder} belongs to another user: remove it or change its owner")
        parser = configparser.RawConfigParser()
        parser.read_dict(self._sections(instances))
        with self.configuration.open("w") as file:
            parser.write(file)

    def launch(self) -> None:
        """Start the supervisor; it leaves the terminal. Raises MachineError with its last words when it cannot."""
        command = [str(Path(sys.executable).with_name("supervisord")), "-c", str(self.configuration)]
        environment = inherited(os.environ) | {"KIT_ROOT": str(self.settings.root)}
        started = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if started.returncode:
            raise MachineError(f"the supervisor did not start: {started.stderr.strip() or started.stdout.strip()}")
        deadline = time.monotonic() + 10
        while not self.alive:
            if time.monotonic() > deadline:
                raise MachineError(
                    f"the supervisor does not answer on {self.socket}: see {self.logs / 'supervisord.log'}"
                )
            time.sleep(0.1)
        self.session.record(self.rpc.getPID())

    def reload(self) -> tuple[list[str], list[str]]:
        """Take over the written configuration; return the names it added and those that are to go."""
        added, _changed, removed = self.rpc.reloadConfig()[0]
        for name in added:
            self.rpc.addProcessGroup(name)
        return added, removed

    def processes(self) -> dict[str, Mapping[str, Any]]:
        """Return Supervisor's own report by instance; empty when it is away."""
        try:
            return {info["name"]: info for info in self.rpc.getAllProcessInfo()}
        except (OSError, xmlrpc.client.Error):
            return {}

    def start(self, instance: str) -> None:
        """Start an instance that does not run; do nothing for one that does."""
        with ignore_faults("ALREADY_STARTED"):
            self.rpc.startProcess(instance, False)

    def begin_stop(self, instance: str) -> None:
        """Send an instance its stop signal without waiting."""
        with ignore_faults("NOT_RUNNING"):
            self.rpc.stopProcess(instance, False)

    def pid(self, instance: str) -> int:
        """Return the process id of a running instance. Raises NotRunningError."""
        info = self.processes().get(instance)
        if not info or not info["pid"]:
            raise NotRunningError(f"{instance} is not running: see 'kit status'")
        return int(info["pid"])

    def shut_down(self) -> None:
        """End the supervisor, whose instances have stopped, and wait until it is gone."""
        pid = self.rpc.getPID()
        self.rpc.shutdown()
        with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
            psutil.Process(pid).wait(60)

    def _sections(self, instances: list[str]) -> dict[str, dict[str, Any]]:
        knobs = self.settings
        sections: dict[str, dict[str, Any]] = {
            "unix_http_server": {"file": self.socket, "chmod": "0700"},
            "supervisord": {
                "logfile": self.logs / "supervisord.log",
                "logfile_maxbytes": _bytes(knobs["LOG_MAX_SIZE"]),
                "logfile_backups": knobs["LOG_MAX_FILES"],
                "pidfile": self.folder / "supervisord.pid",
                "directory": self.settings.root,
                "minfds": 1024,
                **({"user": "root"} if os.geteuid() == 0 else {}),
            },
            "rpcinterface:supervisor": {
                "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
            },
        }
        for instance in instances:
            sections[f"program:{instance}"] = {name: _escape(value) for name, value in self._program(instance).items()}
        sections["supervisord"] = {name: _escape(value) for name, value in sections["supervisord"].items()}
        return sections

    def _program(self, instance: str) -> dict[str, Any]:
        return {
            **self._server_or_airflow(instance),
            "autostart": "false",
            "autorestart": "true",
            "startsecs": 1,
            "startretries": RETRIES,
            "stopwaitsecs": services.stop_seconds(self.settings, instance),
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": self.logs / f"{instance}.log",
            "stdout_logfile_maxbytes": _bytes(self.settings["LOG_MAX_SIZE"]),
            "stdout_logfile_backups": self.settings["LOG_MAX_FILES"],
        }

    def _server_or_airflow(self, instance: str) -> dict[str, Any]:
        servers = Servers.of(self.settings)
        as_user = {"user": servers.user} if servers.user else {}
        if instance == "postgres-1":
            # Fast shutdown: a plain SIGTERM waits for every client.
            return {
                "command": _join(servers.postgres_command()),
                "directory": servers.home,
                "stopsignal": "INT",
                **as_user,
            }
        if instance == "valkey-1":
            return {
                "command": _join(servers.valkey_command()),
                "directory": servers.home,
                "stopsignal": "TERM",
                **as_user,
            }
        command = [sys.executable, "-m", "airflow_celery_kit.runtimes.embedded_start", instance]
        return {"command": _join(command), "directory": self.settings.root, "stopsignal": "TERM"}


@contextlib.contextmanager
def ignore_faults(*names: str) -> Any:
    """Swallow the named Supervisor faults, such as NOT_RUNNING; say plainly when the supervisor is away."""
    try:
        yield
    except xmlrpc.client.Fault as fault:
        if not fault.faultString.startswith(names):
            raise
    except OSError as problem:
        raise NotRunningError("the stack is not up: run 'kit up'") from problem


def kill_tree(pid: int) -> None:
    """Kill a process and all its descendants at once; each is frozen first, so that none can start another."""
    tree = [psutil.Process(pid)]
    _signal(tree[0], signal.SIGSTOP)
    while fresh := [child for parent in tree for child in _children(parent) if child not in tree]:
        for child in fresh:
            _signal(child, signal.SIGSTOP)
        tree += fresh
    for process in tree:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(tree[1:], timeout=5)


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _bytes(size: str) -> str:
    return f"{size[:-1]}{size[-1].upper()}B"


def _join(words: list[str]) -> str:
    return " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)


def _escape(value: Any) -> str:
    # Supervisor expands %(name)s in every value.
    return str(value).replace("%", "%%")
