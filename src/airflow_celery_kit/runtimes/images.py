"""Runs in: `kit init` and Compose's start; where the images come from, decided once and recorded."""

import subprocess
import sys
from pathlib import Path

from airflow_celery_kit import env_file, knobs
from airflow_celery_kit.errors import MachineError
from airflow_celery_kit.runtimes import docker_engine
from airflow_celery_kit.runtimes.base import Say
from airflow_celery_kit.settings import Settings

BASE_IMAGES = {"registry": knobs.KNOBS["BASE_IMAGE"].default, "local": "airflow-celery-kit-base:trixie"}
REGISTRY_SECONDS = 20


def decide(settings: Settings, say: Say) -> Settings:
    """Record whether images come from a registry or are built from Debian packages and wheels; build the base then.

    Does nothing where that is recorded already, so that nothing switches over existing data.
    """
    if settings["IMAGE_SOURCE"]:
        return settings
    say("looking for the image registry")
    source = "registry" if registry_answers() else "local"
    say(f"images: {source}")
    base = BASE_IMAGES[source] if settings["BASE_IMAGE"] in BASE_IMAGES.values() else settings["BASE_IMAGE"]
    if source == "local":
        build_base_image(settings.root, say)
    return env_file.record(settings, {"IMAGE_SOURCE": source, "BASE_IMAGE": base})


def registry_answers() -> bool:
    """Return whether the registry knows the pinned Python image."""
    command = ["docker", "manifest", "inspect", BASE_IMAGES["registry"]]
    environment = docker_engine.environment() | {"DOCKER_CLI_EXPERIMENTAL": "enabled"}
    try:
        ended = subprocess.run(command, env=environment, capture_output=True, timeout=REGISTRY_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False
    return ended.returncode == 0


def build_base_image(root: Path, say: Say) -> None:
    """Make the base image from Debian packages, telling each step. Raises MachineError with the script's last line."""
    command = [sys.executable, str(root / "scripts" / "build_base_image.py")]
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in filter(str.strip, process.stdout or ()):
            last = line.strip()
            say(f"base image: {last}")
    if process.returncode:
        raise MachineError(f"the base image could not be built: {last}")
