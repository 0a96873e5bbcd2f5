#!/usr/bin/env python3
"""Runs in: your shell; gives a Debian machine promtool, with which alert rules are tested. One that is there is left as it is.

It is taken out of Debian's package, which as a whole would start a Prometheus. `install_promtool.py FOLDER`, without which it is /usr/local/bin.
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

PROGRAM = "usr/bin/promtool"


def main(folder="/usr/local/bin"):
    """Install what is missing."""
    if shutil.which("promtool"):
        return
    os.chdir(made := tempfile.mkdtemp())
    try:
        if os.geteuid() == 0:
            apt_get("update")
        say("installing promtool")
        apt_get("download", "prometheus")
        (package,) = Path(made).glob("prometheus_*.deb")
        subprocess.run(["dpkg", "--extract", package, made], check=True)
        shutil.copy2(Path(made, PROGRAM), folder)
    except (Failure, OSError, subprocess.CalledProcessError) as problem:
        sys.exit(f"install_promtool.py: {problem}")
    finally:
        shutil.rmtree(made)


if __name__ == "__main__":
    main(*sys.argv[1:2])
