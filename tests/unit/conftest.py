"""Temporary checkouts of the kit, made of the real configuration files; nothing here needs a server or an engine."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from airflow_celery_kit import knobs
from airflow_celery_kit.settings import Settings

REPOSITORY = Path(__file__).parents[2]
HOME = tempfile.TemporaryDirectory(prefix="airflow-home-")
# Whoever imports Airflow in these tests gets a home that is thrown away.
os.environ.setdefault("AIRFLOW_HOME", HOME.name)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch):
    """No test is swayed by what the caller's shell says about a stack."""
    for name in ("KIT_ROOT", "RUNTIME", "KIT_INSTANCE", "KIT_BEAT_FILE", "KIT_BROKER_PASSWORD_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def repository() -> Path:
    """The checkout that these tests lie in."""
    return REPOSITORY


@pytest.fixture
def root(tmp_path) -> Path:
    """A fresh checkout: configuration alone, no `.env`, no secrets."""
    shutil.copytree(REPOSITORY / "config", tmp_path / "checkout" / "config")
    return tmp_path / "checkout"


@pytest.fixture
def without_engine(monkeypatch, tmp_path):
    """A machine on which no docker command is found."""
    (tmp_path / "no-programs").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "no-programs"))


@pytest.fixture
def values(free_port) -> dict[str, str]:
    """A complete `.env` of an embedded stack whose ports nobody listens on."""
    made = {name: knob.make() if knob.make else knob.default for name, knob in knobs.KNOBS.items()}
    return made | {name: str(free_port()) for name in made if name.endswith("_PORT")} | {"KIT_UID": "50000"}


@pytest.fixture
def settings(root, values) -> Settings:
    """The settings of a checkout that has its `.env`."""
    (root / ".env").write_text(knobs.render(values))
    return Settings.load(root)


@pytest.fixture
def free_port():
    """Returns a port nobody listens on; never the same one twice."""
    import socket

    given: set[int] = set()

    def find() -> int:
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            if port not in given:
                given.add(port)
                return port

    return find


@pytest.fixture
def tree():
    """Takes a picture of a folder: each path with its mode and its bytes."""

    def picture(folder: Path) -> dict[str, tuple[int, bytes]]:
        found = sorted(folder.rglob("*"))
        return {
            str(path.relative_to(folder)): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
            for path in found
        }

    return picture


@pytest.fixture
def kit(tmp_path):
    """Runs the installed `kit` in a folder; the embedded runtime unless told otherwise."""

    def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        command = [str(Path(sys.executable).with_name("kit")), *arguments]
        variables = os.environ | {"RUNTIME": "embedded", "NO_COLOR": "1"} | environment
        return subprocess.run(
            command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=15, check=False
        )  # fmt: skip

    return run
