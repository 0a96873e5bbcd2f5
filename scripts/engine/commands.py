"""Runs in: your shell; what the parts of `install_docker_engine.py` share: asking commands, speaking, waiting."""

import subprocess
import time


class Failure(Exception):
    """Something the reader has to put right; its text is the one line that they see."""


def say(text):
    """Print one progress line at once, so that a CI log shows where time goes."""
    print(text, flush=True)


def answer_of(*command):
    """The output of a command, or None when it is missing or fails."""
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def engine_version():
    """The version of the engine that answers the docker client, or None."""
    # A client that cannot reach the engine still exits 0 with an empty version in some releases.
    return answer_of("docker", "info", "--format", "{{.ServerVersion}}") or None


def compose_version():
    """The version of the compose plugin as the first docker client on PATH sees it, or None."""
    return answer_of("docker", "compose", "version", "--short")


def tries(seconds):
    """Yield again and again, with short pauses, until the seconds are over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(0.3)
