"""Runs in: the command line; what a machine must have, each with its cure."""

import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from airflow_celery_kit.errors import MachineError

GIB = 1024**3
# The idle stack takes 1.7 GB and a worker's tasks come on top (docs/reference/measurements.md).
MEMORY_NEEDED = 2 * GIB
# Images or server data, logs, and room for the append-only file to be rewritten.
DISK_NEEDED = 2 * GIB
ARCHITECTURES = ("x86_64", "amd64", "aarch64", "arm64")
PYTHONS = ((3, 11), (3, 13))


@dataclass(frozen=True)
class Machine:
    """What was found; memory and disk in bytes."""

    architecture: str
    python: tuple[int, int]
    memory: int
    disk: int

    @classmethod
    def here(cls, folder: Path) -> "Machine":
        """Look at this machine; disk is what is free below `folder`."""
        return cls(
            platform.machine(),
            (sys.version_info.major, sys.version_info.minor),
            psutil.virtual_memory().available,
            shutil.disk_usage(folder).free,
        )

    def problems(self) -> list[str]:
        """Return each thing that is missing, in one line with its cure."""
        checks = (
            (
                self.architecture in ARCHITECTURES,
                f"{self.architecture} is not supported: use a machine with x86_64 or aarch64",
            ),
            (
                PYTHONS[0] <= self.python <= PYTHONS[1],
                f"Python {_dotted(self.python)} is not supported: use 3.11 to 3.13",
            ),
            (
                self.memory >= MEMORY_NEEDED,
                f"only {self.memory / GIB:.1f} GiB of memory are free, {MEMORY_NEEDED / GIB:.0f} are needed: stop something or add memory",
            ),
            (
                self.disk >= DISK_NEEDED,
                f"only {self.disk / GIB:.1f} GiB of disk are free, {DISK_NEEDED / GIB:.0f} are needed: make room",
            ),
        )
        return [problem for fine, problem in checks if not fine]

    def require(self) -> None:
        """Raise MachineError with the first thing that is missing."""
        if found := self.problems():
            raise MachineError(found[0])


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
