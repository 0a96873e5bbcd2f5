"""Runs in: stack tests; a virtual environment with a plain Airflow in which the kit's wheel is installed, and nothing of this checkout."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from tests.contract.servers import REPOSITORY

KIT = "airflow_celery_kit"


def build_wheel(folder: Path) -> Path:
    """Build the wheel as a release does; return where it is."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def make(folder: Path) -> Path:
    """Make the environment with all that this one has but the kit; return its Python. No network is needed."""
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    where = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(where, check=True, capture_output=True, text=True).stdout.strip())
    for one in Path(sysconfig.get_path("purelib")).iterdir():
        if KIT not in one.name and not (packages / one.name).exists():
            (packages / one.name).symlink_to(one)
    return python


def install(python: Path, wheel: Path) -> None:
    """Install the wheel as `pip install` does, which refuses where something that it depends on is not there."""
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--no-index", str(wheel)], check=True, capture_output=True)
