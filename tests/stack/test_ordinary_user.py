"""Runs in: stack tests; the embedded runtime as an ordinary user, when the tests themselves run as root."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.harness.workspace import UP_SECONDS, clean_environment, copy_checkout, one_start_at_a_time

# A user of this process's own: one that a killed run left behind is in nobody's way.
USER = f"kit-tester-{os.getpid()}"
HOME = Path(f"/var/tmp/{USER}-home")


@pytest.fixture
def home() -> Iterator[Path]:
    """The home of a user that is made for this test and removed after it."""
    if os.geteuid() != 0:
        pytest.skip("the tests run as an ordinary user already")
    subprocess.run(["useradd", "--create-home", "--home-dir", str(HOME), USER], check=True)
    try:
        yield HOME
    finally:
        subprocess.run(["userdel", "--remove", USER], check=False, capture_output=True)
        shutil.rmtree(HOME, ignore_errors=True)


def as_user(root: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run a shell command as the user, in the checkout."""
    environment = clean_environment() | {
        "HOME": str(HOME),
        "USER": USER,
        "RUNTIME": "embedded",
        "UV_CACHE_DIR": f"{HOME}/.cache/uv",
    }
    entry = pwd.getpwnam(USER)
    return subprocess.run(
        ["bash", "-c", command], cwd=root, env=environment, user=entry.pw_uid, group=entry.pw_gid, extra_groups=[],
        capture_output=True, text=True, timeout=UP_SECONDS, check=False,
    )  # fmt: skip


def reachable_python() -> str:
    """Return a Python that other users can start; root's own may lie in a closed folder."""
    for candidate in ("/usr/bin/python3.13", "/usr/bin/python3.12", "/usr/bin/python3.11", "/usr/local/bin/python3"):
        if os.access(candidate, os.X_OK):
            return candidate
    pytest.skip("no Python that an ordinary user could start")


def test_up_run_and_down_as_an_ordinary_user(home: Path) -> None:
    root = copy_checkout(home / "checkout")
    subprocess.run(["chown", "--recursive", f"{USER}:", str(root)], check=True)
    python = reachable_python()
    try:
        with one_start_at_a_time():
            up = as_user(root, f"make PYTHON={python} up")
        assert up.returncode == 0, up.stdout[-2000:] + up.stderr[-2000:]
        run = as_user(root, ".venv/bin/kit run chains --wait")
        assert run.returncode == 0, run.stderr
        owners = {path.owner() for path in (root / "var").rglob("*")}
        assert owners == {USER}
    finally:
        down = as_user(root, f"make PYTHON={python} clean")
    assert down.returncode == 0, down.stderr
    mine = subprocess.run(["pgrep", "-u", USER], capture_output=True, text=True, check=False).stdout.split()
    assert mine == []
