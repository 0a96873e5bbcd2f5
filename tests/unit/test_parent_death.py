"""Real processes: when one dies, however it dies, what it forked dies too, and so on down; what was executed stays."""

import os
import signal
import subprocess
import sys

import psutil

FAMILY = """
import os, subprocess, sys, time
from airflow_celery_kit.worker import parent_death
parent_death.install()
child = os.fork()
if child == 0:
    grandchild = os.fork()
    if grandchild == 0:
        started = subprocess.Popen(["sleep", "300"], stdout=subprocess.DEVNULL)
        os.write(1, b"%d %d\\n" % (os.getpid(), started.pid))
    time.sleep(300)
os.write(1, b"%d\\n" % child)
time.sleep(300)
"""

IN_A_THREAD = """
import os, threading
from airflow_celery_kit.worker import parent_death
parent_death.install()
(reading, writing), (there, here) = os.pipe(), os.pipe()
children = []
def fork():
    child = os.fork()
    if child == 0:
        os.write(here, b"x")
        os.read(reading, 1)
        os._exit(0)
    children.append(child)
    os.read(there, 1)
thread = threading.Thread(target=fork)
thread.start()
thread.join()
while thread.native_id in map(int, os.listdir("/proc/self/task")):
    pass
os.write(writing, b"x")
print(os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]))
"""


def test_what_a_task_forks_in_a_thread_outlives_that_thread():
    ended = subprocess.run([sys.executable, "-c", IN_A_THREAD], capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout.strip() == "0"


def test_forks_of_forks_die_with_the_first_and_a_program_that_a_task_started_does_not():
    with subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, text=True) as family:
        numbers = [int(word) for _ in range(2) for word in family.stdout.readline().split()]
        assert len(numbers) == 3
        program = next(pid for pid in numbers if psutil.Process(pid).name() == "sleep")
        forks = [psutil.Process(pid) for pid in numbers if pid != program]
        family.kill()
        family.wait()
        _, alive = psutil.wait_procs(forks, timeout=30)
        assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []
        assert psutil.Process(program).status() != psutil.STATUS_ZOMBIE
        os.kill(program, signal.SIGKILL)
