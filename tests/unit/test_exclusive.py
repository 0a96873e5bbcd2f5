"""Runs in: unit tests; two commands that change one stack at the same time."""

import subprocess
import sys

import pytest

from airflow_celery_kit.errors import KitError
from airflow_celery_kit.exclusive import exclusive

HOLDER = """
import sys, pathlib
from airflow_celery_kit.exclusive import exclusive
with exclusive(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_command_is_refused_until_the_first_has_ended_even_by_a_kill(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(KitError, match="another kit command"), exclusive(tmp_path):
            pytest.fail("both hold the lock")
        holder.kill()
        holder.wait()
    with exclusive(tmp_path):
        pass
