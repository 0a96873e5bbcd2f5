"""A real PostgreSQL and a real Valkey on free loopback ports.

They run from the wheels as the embedded runtime starts them, and as containers where an engine answers and
KIT_TEST_POSTGRES_IMAGE and KIT_TEST_VALKEY_IMAGE name images that are there.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psycopg2
import pytest

from airflow_celery_kit import knobs, secret_files
from airflow_celery_kit.runtimes import docker_engine
from airflow_celery_kit.runtimes.servers import SYSTEM_HOME, Servers
from airflow_celery_kit.settings import Settings

REPOSITORY = Path(__file__).parents[2]
IMAGES = ("KIT_TEST_POSTGRES_IMAGE", "KIT_TEST_VALKEY_IMAGE")
START_SECONDS = 60.0


def free_ports(count: int) -> list[str]:
    """Ports nobody listens on, all held at the same time so that they differ."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [str(probe.getsockname()[1]) for probe in probes]


def fresh_settings(root: Path) -> Settings:
    """The kit's configuration in a new folder, with secrets and ports of its own."""
    shutil.copytree(REPOSITORY / "config", root / "config")
    values = {name: knob.make() if knob.make else knob.default for name, knob in knobs.KNOBS.items()}
    values |= dict(zip(("POSTGRES_PORT", "VALKEY_PORT"), free_ports(2), strict=True))
    settings = Settings(root, values)
    secret_files.write(settings)
    return settings


def wait_for(what: str, ready: Callable[[], bool], within: float = START_SECONDS) -> None:
    """Return once `ready` is true; fail saying what was awaited."""
    deadline = time.monotonic() + within
    while not ready():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come within {within:.0f} s")
        time.sleep(0.05)


@cache
def left_out() -> str:
    """Why the servers cannot run as containers here; nothing where they can."""
    if missing := [name for name in IMAGES if not os.environ.get(name)]:
        return f"{' and '.join(missing)} not set"
    if reason := docker_engine.why_not():
        return reason
    absent = [os.environ[name] for name in IMAGES if docker_engine._quiet("image", "inspect", os.environ[name]) is None]
    return f"no image {', '.join(absent)}" if absent else ""


@dataclass
class Stack:
    """Both servers, ready; `freeze` and `thaw` stop and continue one of them as a whole."""

    settings: Settings
    freeze: Callable[[str], None]
    thaw: Callable[[str], None]

    def address(self, role: str, database: str, password: str | None = None) -> str:
        """A libpq URI with its password, for tests alone: a role of the kit's unless one is given."""
        if password is None:
            names = (f"{role.upper()}_DB_PASSWORD", f"{role.upper()}_PASSWORD")
            password = next(self.settings[name] for name in names if name in self.settings.values)
        return f"postgresql://{role}:{password}@127.0.0.1:{self.settings['POSTGRES_PORT']}/{database}"

    def query(
        self, statement: str, *values, role: str = "postgres", database: str = "postgres", password: str | None = None
    ) -> list[tuple]:
        """Run one statement, committed at once, on a fresh connection; the superuser's unless told otherwise."""
        address = self.address(role, database, password)
        with contextlib.closing(psycopg2.connect(address, connect_timeout=5)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchall() if cursor.description else []

    @property
    def valkey(self):
        """A client of the broker as the user `airflow`."""
        import valkey

        return valkey.Valkey(
            port=self.settings.number("VALKEY_PORT"), username="airflow", password=self.settings["VALKEY_PASSWORD"],
            decode_responses=True, socket_timeout=5,
        )  # fmt: skip

    def answers(self) -> bool:
        """Whether both let their users in."""
        try:
            self.query("SELECT 1")
            return bool(self.valkey.ping())
        except Exception:
            return False


@contextlib.contextmanager
def from_wheels(settings: Settings) -> Iterator[Stack]:
    """Servers as processes; as root they run as the system user and their folder is removed at the end."""
    servers = Servers.of(settings)
    servers.prepare()
    as_user = {"user": servers.user, "group": servers.user, "extra_groups": []} if servers.user else {}
    commands = {"postgres": servers.postgres_command(), "valkey": servers.valkey_command()}
    started = {
        name: subprocess.Popen(command, cwd=servers.home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, **as_user)
        for name, command in commands.items()
    }  # fmt: skip
    try:
        yield Stack(
            settings,
            freeze=lambda name: os.killpg(started[name].pid, signal.SIGSTOP),
            thaw=lambda name: os.killpg(started[name].pid, signal.SIGCONT),
        )
    finally:
        for process in started.values():
            os.killpg(process.pid, signal.SIGCONT)
            process.send_signal(signal.SIGINT)
        for process in started.values():
            process.wait(30)
        if servers.user:
            shutil.rmtree(servers.home)
            with contextlib.suppress(OSError):
                SYSTEM_HOME.rmdir()


@contextlib.contextmanager
def from_containers(settings: Settings) -> Iterator[Stack]:
    """Servers as containers with the same files mounted."""
    # Its helper container would have to be pulled from a registry.
    os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
    from testcontainers.core.container import DockerContainer

    config, secrets = settings.root / "config", settings.secrets
    user = {"user": f"{settings['KIT_UID'] if os.geteuid() == 0 else os.geteuid()}:0"}
    postgres = (
        DockerContainer(os.environ["KIT_TEST_POSTGRES_IMAGE"], **user)
        .with_command("postgres -c config_file=/etc/kit/postgresql.conf -c listen_addresses=*")
        .with_env("POSTGRES_PASSWORD_FILE", "/run/secrets/postgres_password")
        .with_volume_mapping(config / "postgresql.conf", "/etc/kit/postgresql.conf")
        .with_volume_mapping(secrets / "postgres_password", "/run/secrets/postgres_password")
    )
    valkey = (
        DockerContainer(os.environ["KIT_TEST_VALKEY_IMAGE"], **user)
        .with_command(
            "valkey-server /etc/kit/valkey.conf --dir /data --bind 0.0.0.0 --aclfile /run/secrets/valkey_users"
        )
        .with_volume_mapping(config / "valkey.conf", "/etc/kit/valkey.conf")
        .with_volume_mapping(secrets / "valkey_users", "/run/secrets/valkey_users")
    )
    postgres.ports = {"5432/tcp": ("127.0.0.1", settings.number("POSTGRES_PORT"))}
    valkey.ports = {"6379/tcp": ("127.0.0.1", settings.number("VALKEY_PORT"))}
    with postgres, valkey:
        started = {"postgres": postgres, "valkey": valkey}
        yield Stack(
            settings,
            freeze=lambda name: started[name].get_wrapped_container().pause(),
            thaw=lambda name: started[name].get_wrapped_container().unpause(),
        )
