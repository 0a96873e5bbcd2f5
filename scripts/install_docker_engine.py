#!/usr/bin/env python3
"""Runs in: your shell; gives a Debian or Ubuntu machine a Docker engine from distribution packages.

`install_docker_engine.py start FOLDER` installs what is missing (engine, Compose, buildx) and, where no service
manager did it, starts `dockerd` in the background with its pid and log in FOLDER.
`install_docker_engine.py stop FOLDER` ends exactly that engine again.
An engine that already answers is left as it is.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

if os.geteuid() == 0:
    # Else compiled files stay behind that the owner of the checkout cannot remove.
    sys.dont_write_bytecode = True

from engine.commands import Failure, compose_version, engine_version, say
from engine.daemon import choose_iptables, engine_of_service, start_daemon
from engine.packages import install_missing
from engine.processes import containerd_child, end, recorded_daemon


def start(folder):
    """Bring the machine to an engine that answers and a Compose that works."""
    version = engine_version()
    if version:
        if not compose_version():
            raise Failure(f"engine {version} answers, but `docker compose` does not: install its Compose v2 plugin")
        say(f"engine {version} answers already, nothing to do")
        return
    require_root_and_apt()
    install_missing()
    choose_iptables()
    if not engine_of_service():
        start_daemon(folder)
    report(folder)


def require_root_and_apt():
    """Refuse early, before anything on the machine has changed."""
    if os.geteuid() != 0:
        raise Failure("no Docker engine answers, and installing or starting one needs root: run it with sudo")
    if not shutil.which("apt-get"):
        raise Failure("no apt-get on this machine: install a Docker engine by hand (Debian and Ubuntu only)")


def report(folder):
    """Say which engine runs now and who started it."""
    pid = recorded_daemon(folder)
    owner = f"dockerd pid {pid}" if pid else "started by its service"
    say(f"engine {engine_version()}, compose {compose_version()}, {owner}")


def stop(folder):
    """End the dockerd that `start` began with this folder, and the containerd below it."""
    pid = recorded_daemon(folder)
    if pid is None:
        say(f"no dockerd started with {folder} is running, nothing to stop")
        return
    child = containerd_child(pid)
    end(pid)
    if child:
        end(child)
    say(f"dockerd pid {pid} has ended")


def main():
    """Read the command line and run one verb."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["start", "stop"])
    parser.add_argument("folder", type=lambda text: Path(text).absolute(), help="holds the daemon's pid and log")
    arguments = parser.parse_args()
    try:
        {"start": start, "stop": stop}[arguments.verb](arguments.folder)
    except (Failure, OSError) as problem:
        sys.exit(f"{Path(__file__).name}: {problem}")


if __name__ == "__main__":
    main()
