#!/usr/bin/env python3
"""Runs in: your shell; gives a Debian machine Chromium, in which the tests use the page. One that is there is left as it is."""

import os
import shutil
import sys

if os.geteuid() == 0:
    sys.dont_write_bytecode = True

from engine.commands import Failure, say
from engine.packages import apt_get


def main():
    """Install what is missing."""
    if shutil.which("chromium"):
        return
    try:
        apt_get("update")
        say("installing chromium")
        apt_get("install", "--no-install-recommends", "chromium", "fonts-dejavu-core")
    except Failure as problem:
        sys.exit(f"install_chromium.py: {problem}")


if __name__ == "__main__":
    main()
