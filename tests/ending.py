"""Runs in: every test session and benchmark; SIGTERM ends it as Ctrl-C does, so that the stacks and servers that it started go with it.

Ctrl-C reaches everything that a terminal's command has started. SIGTERM may reach one process: it tells those that it has started.
"""

import os
import signal
import time
from contextlib import suppress
from typing import Any

import psutil
import pytest

# A stack's workers finish their tasks first.
REMOVAL_SECONDS = 300.0


def heed(*signals: signal.Signals) -> None:
    """Let the first of these signals raise KeyboardInterrupt and tell what was started; what comes while all is removed is not heeded.

    A fork dies of them as it would have without.
    """
    heard = []

    def end(number: int, _: Any) -> None:
        if heard:
            return
        heard.append(number)
        tell_children()
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = {one: signal.signal(one, end) for one in signals}
    os.register_at_fork(after_in_child=lambda: [signal.signal(*one) for one in before.items()])


def tell_children() -> None:
    """Send SIGTERM to what a Ctrl-C would reach of what this process has started: servers and stacks have sessions of their own."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getpgid(child.pid) == os.getpgrp():
                child.terminate()


def heed_in(config: pytest.Config) -> None:
    """Heed SIGTERM in a test session. xdist sends SIGINT once more to a test process that is at its removals."""
    heed(signal.SIGTERM, *([signal.SIGINT] if hasattr(config, "workerinput") else []))


def wait_for_test_processes(session: pytest.Session) -> None:
    """Wait until the test processes have removed what they started: xdist would kill them ten seconds after an interrupt."""
    distributed = session.config.pluginmanager.getplugin("dsession")
    nodes = getattr(distributed, "_active_nodes", ())
    deadline = time.monotonic() + REMOVAL_SECONDS
    while time.monotonic() < deadline and not all(node._down for node in nodes):
        time.sleep(0.1)
