"""How much memory a worker and its processes have."""

import subprocess
import sys

import psutil

from airflow_celery_kit.worker.resident import memory_bytes

HOLD = "import time; held = bytearray(b'x' * 50_000_000); print('ready', flush=True); time.sleep(60)"


def test_the_memory_of_children_counts():
    before = memory_bytes()
    assert abs(before - psutil.Process().memory_info().rss) < 50_000_000
    child = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE)
    try:
        child.stdout.readline()
        assert memory_bytes() - before > 50_000_000
    finally:
        child.kill()
        child.wait()
    assert memory_bytes() - before < 30_000_000


def test_nobody_knows_where_the_kernel_does_not_say(tmp_path):
    assert memory_bytes(proc=tmp_path) is None
