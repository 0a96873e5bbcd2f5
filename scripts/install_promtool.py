#!/usr/bin/env python3
"""Runs in: your shell; gives a Debian machine Prometheus and promtool, with which scrapes and alerts are tested. What is there is left as it is.

They are taken out of Debian's packages, which as a whole would start one. `install_promtool.py FOLDER`, without which it is /usr/local/bin.
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

# Until Debian 12 the package of the first holds both.
PROGRAMS = ("prometheus", "promtool")


def extract(package, folder):
    """Take a package apart in `folder`, which holds no other one of that name."""
    apt_get("download", package)
    (file,) = Path(folder).glob(f"{package}_*.deb")
    subprocess.run(["dpkg", "--extract", file, folder], check=True)


def main(folder="/usr/local/bin"):
    """Install what is missing."""
    if all(map(shutil.which, PROGRAMS)):
        return
    os.chdir(made := tempfile.mkdtemp())
    try:
        if os.geteuid() == 0:
            apt_get("update")
        say("installing prometheus and promtool")
        for name in PROGRAMS:
            if not Path(made, "usr/bin", name).exists():
                extract(name, made)
            shutil.copy2(Path(made, "usr/bin", name), folder)
    except (Failure, OSError, subprocess.CalledProcessError) as problem:
        sys.exit(f"install_promtool.py: {problem}")
    finally:
        shutil.rmtree(made)


if __name__ == "__main__":
    main(*sys.argv[1:2])
