#!/usr/bin/env python3
"""Runs in: your shell; gives a Debian machine Prometheus and promtool, with which scrapes and alerts are tested. What is there is left as it is.

They are taken out of Debian's package, which as a whole would start one. `install_promtool.py FOLDER`, without which it is /usr/local/bin.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

if os.geteuid() == 0:
    sys.dont_write_bytecode = True

from engine.commands import Failure, say
from engine.packages import apt_get

PROGRAMS = ("promtool", "prometheus")


def main(folder="/usr/local/bin"):
    """Install what is missing."""
    if all(map(shutil.which, PROGRAMS)):
        return
    os.chdir(made := tempfile.mkdtemp())
    try:
        if os.geteuid() == 0:
            apt_get("update")
        say("installing prometheus and promtool")
        apt_get("download", "prometheus")
        (package,) = Path(made).glob("prometheus_*.deb")
        subprocess.run(["dpkg", "--extract", package, made], check=True)
        for name in PROGRAMS:
            shutil.copy2(Path(made, "usr/bin", name), folder)
    except (Failure, OSError, subprocess.CalledProcessError) as problem:
        sys.exit(f"install_promtool.py: {problem}")
    finally:
        shutil.rmtree(made)


if __name__ == "__main__":
    main(*sys.argv[1:2])
