"""Runs in: Celery workers; no pool or task process outlives the process that forked it.

Celery's pool processes and Airflow's task processes are plain forks. Killing only the first of them left the others
running under init, without anybody who would collect their result.
"""

import ctypes
import os
import signal
import threading

# prctl(2)
PR_SET_PDEATHSIG = 1


def install() -> None:
    """Let every process that is forked from here on, and their forks, be killed when its parent dies.

    A program that a task starts with `subprocess` is no plain fork and is left alone, unless it asks for Python code
    between fork and exec (`preexec_fn`, as BashOperator does): then it dies with its task too.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    parent, lasting = [os.getpid()], [True]

    def remember() -> None:
        parent[0] = os.getpid()
        # The kernel's parent is the thread that forked: where a task's own thread did, its child would die with that.
        lasting[0] = threading.current_thread() is threading.main_thread()

    def die_with_parent() -> None:
        if not lasting[0]:
            return
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent[0]:
            os._exit(1)

    os.register_at_fork(before=remember, after_in_child=die_with_parent)
