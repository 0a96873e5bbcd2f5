#!/usr/bin/env python3
"""Runs in: your shell, before anything is installed; makes .venv from requirements.lock. Standard library only.

`bootstrap.py [EXTRA]` installs the package with an extra of pyproject.toml (`dev` by default). It is quick when
nothing changed, and repairs a half-made .venv.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / ".complete"
UV = "uv==0.13.8"
VERSIONS = ((3, 11), (3, 13))


def main(extra: str) -> int:
    """Make or complete .venv; return 0, or 1 after one line that names the cure."""
    if not VERSIONS[0] <= sys.version_info[:2] <= VERSIONS[1]:
        return fail(
            f"Python {sys.version.split()[0]} is not supported: use 3.11 to 3.13, as in 'make PYTHON=python3.12 up'"
        )
    if not os.access(ROOT, os.W_OK):
        return fail(f"{ROOT} belongs to somebody else: use a checkout of your own")
    if STAMP.is_file() and STAMP.read_text() == fingerprint(extra):
        return 0
    print("installing the locked packages into .venv", file=sys.stderr)
    try:
        make_venv()
        install(extra)
    except subprocess.CalledProcessError as problem:
        return fail(
            f"'{' '.join(map(str, problem.cmd[:6]))} ...' ended with {problem.returncode}: see its message above"
        )
    STAMP.write_text(fingerprint(extra))
    return 0


def fingerprint(extra: str) -> str:
    """Return what the installation depends on."""
    digest = hashlib.sha256(f"{extra} {version()} {UV}".encode())
    for name in ("requirements.lock", "pyproject.toml"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def make_venv() -> None:
    """Make a virtual environment with uv in it, unless there is one of this Python already."""
    if uses_this_python() and (VENV / "bin" / "uv").exists():
        return
    shutil.rmtree(VENV, ignore_errors=True)
    if not has_ensurepip():
        install_ensurepip()
    run([sys.executable, "-m", "venv", str(VENV)])
    run([str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", UV])


def uses_this_python() -> bool:
    """Return whether .venv works and has the version of the Python that runs this."""
    asked = [str(VENV / "bin" / "python"), "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split() == version()
    except OSError:
        return False


def version() -> list[str]:
    """Return the minor version of this Python; a patch release needs no other .venv."""
    return [str(number) for number in sys.version_info[:2]]


def has_ensurepip() -> bool:
    """Return whether this Python can put pip into a virtual environment; Debian splits that off."""
    return subprocess.run([sys.executable, "-c", "import ensurepip"], capture_output=True, check=False).returncode == 0


def install_ensurepip() -> None:
    """Install Debian's package for it as root; raise SystemExit with the command for everybody else."""
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SystemExit(f"this Python lacks ensurepip: run 'sudo apt-get install {package}', then make again")
    run(["apt-get", "update", "-qq"])
    run(["apt-get", "install", "-qq", "--yes", "--no-install-recommends", package])


def install(extra: str) -> None:
    """Install exactly what the lock names, hashes checked, then the package itself without another look-up."""
    uv = [str(VENV / "bin" / "uv"), "pip", "install", "--quiet", "--python", str(VENV / "bin" / "python")]
    run([*uv, "--constraints", str(ROOT / "requirements.lock"), "--build-constraints", str(ROOT / "requirements.lock"),
         "--editable", f"{ROOT}[{extra}]"])  # fmt: skip


def run(command: list[str]) -> None:
    """Run a command with its output on standard error, the system's certificates trusted."""
    environment = os.environ | {"UV_SYSTEM_CERTS": "1", "UV_NO_PROGRESS": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    subprocess.run(command, env=environment, stdout=sys.stderr, check=True)


def fail(line: str) -> int:
    """Print one line and return the exit code of a failure."""
    print(f"bootstrap: {line}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(*(sys.argv[1:] or ["dev"])))
