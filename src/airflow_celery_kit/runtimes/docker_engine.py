"""Runs in: the command line; talks to the Docker engine through its own command line."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

from airflow_celery_kit.errors import KitError, MachineError
from airflow_celery_kit.knobs import KNOBS

# An engine that hangs must not hang `kit`.
ANSWER_SECONDS = 20.0
MINIMUM_COMPOSE = (2, 20)
# How often a command that takes long is looked at.
LOOK_SECONDS = 1.0


def environment() -> dict[str, str]:
    """Return the caller's environment without knobs, which Compose would prefer to those of `.env`.

    Build secrets need BuildKit, which older engines leave off.
    """
    kept = {name: value for name, value in os.environ.items() if name not in KNOBS}
    return kept | {"DOCKER_BUILDKIT": "1", "COMPOSE_DOCKER_CLI_BUILD": "1"}


def answers() -> bool:
    """Return whether a Docker engine answers and `docker compose` is there."""
    return not why_not()


def why_not() -> str:
    """Return nothing when the engine can be used, else the reason and the cure."""
    if not shutil.which("docker"):
        return "there is no docker command: install Docker Engine, or use RUNTIME=embedded"
    if _quiet("info", "--format", "{{.ServerVersion}}") is None:
        return "no Docker engine answers: start it ('systemctl start docker'), join the group 'docker', or use RUNTIME=embedded"
    version = _quiet("compose", "version", "--short")
    if version is None:
        return (
            "'docker compose' is missing: install the Compose plugin (Debian: docker-compose), or use RUNTIME=embedded"
        )
    if tuple(map(int, version.lstrip("v").split(".")[:2])) < MINIMUM_COMPOSE:
        return f"Docker Compose {version} is too old: 2.20 or newer is needed"
    return ""


def require() -> None:
    """Raise MachineError with the cure when no engine can be used."""
    if reason := why_not():
        raise MachineError(reason)


def run(*arguments: str, cwd: str | None = None) -> str:
    """Run one docker command and return its output. Raises KitError with the engine's last line."""
    if not shutil.which("docker"):
        require()
    ended = subprocess.run(
        ["docker", *arguments], cwd=cwd, env=environment(), capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise KitError(last_line(ended.stderr) or f"docker {arguments[0]} failed")
    return ended.stdout


def run_on(*arguments: str, meanwhile: Callable[[], None]) -> None:
    """Run one docker command that goes on when the caller is interrupted; call `meanwhile` every second.

    Raises KitError with the engine's last line.
    """
    said: str | None = None
    with subprocess.Popen(
        ["docker", *arguments], env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:  # fmt: skip
        while said is None:
            meanwhile()
            with contextlib.suppress(subprocess.TimeoutExpired):
                said = process.communicate(timeout=LOOK_SECONDS)[1]
    if process.returncode:
        raise KitError(last_line(said) or f"docker {arguments[0]} failed")


def parents(container: str) -> dict[int, int]:
    """Return the parent of each process of a container, as the engine's host numbers them. Raises KitError."""
    rows = [line.split() for line in run("top", container, "-eo", "pid,ppid").splitlines()[1:]]
    return {int(pid): int(parent) for pid, parent in rows}


def inspect(*names: str) -> list[dict[str, Any]]:
    """Return the engine's description of containers; those that are gone meanwhile are left out."""
    if not names:
        return []
    ended = subprocess.run(
        ["docker", "inspect", "--type", "container", *names], capture_output=True, text=True, check=False
    )
    found: list[dict[str, Any]] = json.loads(ended.stdout or "[]")
    return found


def containers(project: str) -> list[dict[str, Any]]:
    """Return the descriptions of a Compose project's containers, running or not."""
    ids = run("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label=com.docker.compose.project={project}").split()
    return inspect(*ids)


def last_line(text: str) -> str:
    """Return the last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _quiet(*arguments: str) -> str | None:
    """Return the output of a docker command, None when it fails or takes too long."""
    try:
        ended = subprocess.run(
            ["docker", *arguments],
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout.strip() if ended.returncode == 0 else None
