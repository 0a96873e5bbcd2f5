"""SIGTERM ends a test session or a benchmark as Ctrl-C does: what it started is removed first."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
BENCHMARK = """
import os, pathlib, signal, subprocess, sys, time
from tests.ending import heed
heed(signal.SIGTERM)
begun, begin = os.pipe()
if not (fork := os.fork()):
    os.write(begin, b".")
    time.sleep(61)
os.read(begun, 1)
os.kill(fork, signal.SIGTERM)
assert os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) == -signal.SIGTERM
try:
    subprocess.run(["sh", "-c", "touch up.0; sleep 61; true"])
finally:
    pathlib.Path("removing.0").touch()
    time.sleep(1)
    pathlib.Path("removed.0").touch()
"""
# xdist interrupts what is not over after five seconds a second time, and kills it after ten.
TESTS = """
import os, pathlib, time
import pytest

@pytest.fixture(scope="session")
def stack(request):
    yield
    pathlib.Path(f"removing.{request.config.workerinput['workerid'][2:]}").touch()
    time.sleep(11 if os.environ["PYTEST_XDIST_WORKER"] == "gw1" else 0)
    pathlib.Path(f"removed.{request.config.workerinput['workerid'][2:]}").touch()

@pytest.mark.parametrize("number", range(2))
def test_one(stack, number, request):
    pathlib.Path(f"up.{request.config.workerinput['workerid'][2:]}").touch()
    time.sleep(61)
"""


def start(folder, *arguments):
    """Start Python in a folder and a process group of its own, as a shell does."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for name in [name for name in environment if name.startswith("PYTEST_")]:
        del environment[name]
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=folder, env=environment, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )  # fmt: skip


def wait_for(folder, what, count):
    """Wait until so many have left a file."""
    deadline = time.monotonic() + 60
    while len(list(folder.glob(f"{what}.*"))) < count:
        assert time.monotonic() < deadline, f"{count} times {what}"
        time.sleep(0.05)


def end(process, folder, everybody, count):
    """Send SIGTERM, and once more during the removal, to one process or to its group; return the names of what has removed."""
    send = os.killpg if everybody else os.kill
    started = psutil.Process(process.pid).children(recursive=True)
    send(process.pid, signal.SIGTERM)
    wait_for(folder, "removing", count)
    send(process.pid, signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode and not psutil.wait_procs(started, 5)[1], said
    return {path.name for path in folder.glob("removed.*")}


@pytest.mark.parametrize("everybody", [False, True])
def test_a_benchmark_that_is_told_to_end_removes_what_it_started(tmp_path, everybody):
    process = start(tmp_path, "-c", BENCHMARK)
    wait_for(tmp_path, "up", 1)
    assert end(process, tmp_path, everybody, 1) == {"removed.0"}


def test_test_processes_of_a_session_that_is_told_to_end_remove_what_they_started_however_long_it_takes(tmp_path):
    for kind in ("stack", "contract"):
        (tmp_path / "tests" / kind).mkdir(parents=True)
        (tmp_path / "tests" / kind / f"test_{kind}.py").write_text(TESTS)
    process = start(tmp_path, "-m", "pytest", "-n", "2", "-p", "tests.conftest", "--rootdir", str(tmp_path), "tests")
    wait_for(tmp_path, "up", 2)
    assert end(process, tmp_path, False, 2) == {"removed.0", "removed.1"}
