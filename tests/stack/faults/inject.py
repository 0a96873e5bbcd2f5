"""Runs in: stack tests; the faults themselves, the same verbs on both runtimes."""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

from airflow_celery_kit.runtimes import docker_engine
from tests.stack.harness.processes import alive
from tests.stack.harness.stack import Stack
from tests.stack.harness.wait import wait_for

# Celery's and the Airflow scheduler's own main process, below what Docker or the guard put around it.
MAIN = {"airflow-worker": "MainProcess", "airflow-scheduler": "airflow scheduler"}


def tree(stack: Stack, instance: str) -> list[psutil.Process]:
    """Return an instance's process with all its descendants, as this machine sees them."""
    top = top_process(stack, instance)
    return [top, *top.children(recursive=True)]


def top_process(stack: Stack, instance: str) -> psutil.Process:
    """Return an instance's first process; one that does not run has none."""
    pid = stack.instance(instance)["pid"]
    assert pid, f"{instance} does not run"
    return psutil.Process(pid)


def main_process(stack: Stack, instance: str) -> psutil.Process:
    """Return the process that does an instance's work."""
    wanted = MAIN[instance.rpartition("-")[0]]
    return wait_for(f"main process of {instance}", lambda: _first(tree(stack, instance), wanted), 30)


def _first(processes: list[psutil.Process], wanted: str) -> psutil.Process | None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if wanted in " ".join(process.cmdline()):
                return process
    return None


def wait_gone(processes: list[psutil.Process], seconds: float = 15) -> None:
    """Wait until none of the processes lives."""
    wait_for("their end", lambda: not [one.pid for one in processes if alive(one)], seconds)


def restart(stack: Stack, instance: str) -> None:
    """Stop an instance with SIGTERM and start it at once, as its supervisor does."""
    if stack.runtime == "compose":
        docker_engine.run("restart", f"{stack.settings.project}-{instance}")
    else:
        process = top_process(stack, instance)
        process.terminate()
        wait_gone([process])


@contextlib.contextmanager
def frozen(stack: Stack, instance: str) -> Iterator[None]:
    """Let an instance stand still with its sockets open."""
    processes = tree(stack, instance)
    try:
        if stack.runtime == "compose":
            docker_engine.run("pause", f"{stack.settings.project}-{instance}")
        else:
            for process in processes:
                process.suspend()
            wait_for("a frozen process", lambda: processes[0].status() == psutil.STATUS_STOPPED, 10)
        yield
    finally:
        if stack.runtime == "compose":
            docker_engine.run("unpause", f"{stack.settings.project}-{instance}")
        else:
            for process in processes:
                process.resume()


# What a container loses: the broker alone, or all but itself.
TO_BROKER = ("OUTPUT --protocol tcp --dport 6379", "INPUT --protocol tcp --sport 6379")
ALL = ("OUTPUT ! --out-interface lo", "INPUT ! --in-interface lo")


@contextlib.contextmanager
def packets_dropped(stack: Stack, instances: list[str], rules: tuple[str, str] = TO_BROKER) -> Iterator[None]:
    """Drop what containers send and receive, in their own networks. One that starts again meanwhile has another network."""
    firsts = [top_process(stack, instance) for instance in instances]

    def change(how: str) -> None:
        for first in filter(alive, firsts):
            for rule in rules:
                inside = ["nsenter", "--target", str(first.pid), "--net", "iptables", how, *rule.split()]
                # One that ends at that moment takes its rules with it.
                subprocess.run([*inside, "--jump", "DROP"], check=how == "--append", timeout=20)

    change("--append")
    try:
        yield
    finally:
        change("--delete")


REACH = """
import socket
try:
    socket.create_connection(("{}", {}), 3).close()
    print("there")
except OSError:
    print("cut off")
"""


def reaches(stack: Stack, instance: str, host: str, port: int) -> bool:
    """Return whether a container has a way to another one."""
    return stack.inside(instance, REACH.format(host, port)).stdout.strip() == "there"


@contextlib.contextmanager
def full(stack: Stack) -> Iterator[None]:
    """Fill the broker until it refuses to take more; give the room back at the end."""
    broker = stack.broker()
    memory = broker.info("memory")
    try:
        # A gap is filled by the broker itself, without a way through the append-only file; the rest is small.
        broker.setrange("filler", max(0, memory["maxmemory"] - memory["used_memory"] - (4 << 20)), b"x")
        for size in (1 << 16, 1 << 10):
            with contextlib.suppress(broker_refusal()):
                for _ in range(2048):
                    broker.append("filler", b"x" * size)
        yield
    finally:
        broker.delete("filler")


def broker_refusal() -> type[Exception]:
    """What the client raises for a broker that is full."""
    import valkey

    return valkey.exceptions.OutOfMemoryError


@contextlib.contextmanager
def database_closed(stack: Stack, name: str) -> Iterator[None]:
    """Let a database accept nobody, and end who is in."""
    try:
        stack.sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        stack.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", name)
        yield
    finally:
        stack.sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def pool_processes_with_a_task(stack: Stack, worker: str) -> list[psutil.Process]:
    """Return a worker's pool processes that have a task process."""
    return [child for child in main_process(stack, worker).children() if child.children()]


def executor_running(stack: Stack) -> int:
    """Return how many slots the scheduler's executor takes for occupied, from its own debug dump (SIGUSR2)."""
    before = _dumps(stack)
    os.kill(main_process(stack, "airflow-scheduler-1").pid, signal.SIGUSR2)
    found = wait_for("the executor's dump", lambda: (seen := _dumps(stack))[len(before) :] and seen, 20)
    return int(found[-1])


def _dumps(stack: Stack) -> list[str]:
    return re.findall(r"executor\.running \((\d+)\)", stack.log("airflow-scheduler", 100_000))


def wait_slots_back(stack: Stack, seconds: float = 60) -> None:
    """Wait until no slot of the executor is held any more."""
    deadline = time.monotonic() + seconds
    while (held := executor_running(stack)) and time.monotonic() < deadline:
        time.sleep(1)
    assert held == 0, f"{held} slots of the executor are never given back"


FILL = """
import os, shutil
with open("/tmp/fill", "wb") as file:
    os.posix_fallocate(file.fileno(), 0, shutil.disk_usage("/tmp").free - (8 << 20))
print(shutil.disk_usage("/tmp").free)
"""


def fill_disk(stack: Stack, worker: str) -> int:
    """Fill the file system of a container's own temporary files, which is in memory; return the bytes that are left."""
    return int(stack.inside(worker, FILL).stdout)


def put_new_worker_image(stack: Stack) -> None:
    """Give the workers an image of another name and let Compose replace them, as an upgrade does."""
    image = f"{stack.settings.project}-airflow"
    docker_engine.run("tag", image, f"{image}:next")
    dockerfile = f"FROM {image}:next\nLABEL kit.test=next\n"
    subprocess.run(
        ["docker", "build", "--quiet", "--tag", f"{image}:next", "-"],
        input=dockerfile,
        text=True,
        check=True,
        timeout=120,
    )
    (stack.root / "docker-compose.override.yml").write_text(f"services:\n  airflow-worker:\n    image: {image}:next\n")
    stack.call(["docker", "compose", "up", "--detach", "--wait", "--no-build"], timeout=300)


@contextlib.contextmanager
def little_memory(stack: Stack, workers: Iterable[str], limit: str = "1500m") -> Iterator[None]:
    """Leave the workers' containers little memory; processes without a container keep what the machine has."""
    containers = [f"{stack.settings.project}-{worker}" for worker in workers] if stack.runtime == "compose" else []

    def change(size: str) -> None:
        if containers:
            docker_engine.run("update", "--memory", size, "--memory-swap", size, *containers)

    change(limit)
    try:
        yield
    finally:
        change(stack.settings["WORKER_MEMORY"])


def starve(stack: Stack, run: str) -> psutil.Process:
    """Let the hungry task run into its end: by the kernel in a container, by what the kernel would send otherwise.

    Returns the process that was killed, once it is dead.
    """
    folder = stack.root / "var" / "output" / "hungry"
    note = folder / run.replace("/", "_").replace(":", "_")
    worker, inside = wait_for("a hungry task", lambda: note.is_file() and note.read_text().split(), 90)
    instance = worker.removeprefix(f"{stack.settings.project}-")
    eater = next(one for one in tree(stack, instance) if pid_inside(one.pid) == int(inside))
    if stack.runtime == "compose":
        before = out_of_memory_kills(stack, instance)
        stack.inside(instance, f"open('/opt/airflow/output/hungry/{note.name}.go', 'w').close()")
        wait_gone([eater], 90)
        assert out_of_memory_kills(stack, instance) > before, "the kernel must have killed it"
    else:
        eater.kill()
        wait_gone([eater])
    return eater


def pid_inside(pid: int) -> int:
    """Return a process's id in its own container, the same id where it has none."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^NSpid:.*\s(\d+)$", status, re.MULTILINE)[1])


def out_of_memory_kills(stack: Stack, instance: str) -> int:
    """Return how often the kernel has killed in a container for its memory, in either version of control groups."""
    code = (
        "import pathlib;root=pathlib.Path('/sys/fs/cgroup');"
        "print(next(p.read_text() for p in (root/'memory/memory.oom_control', root/'memory.events') if p.exists()))"
    )
    return int(re.search(r"^oom_kill (\d+)$", stack.inside(instance, code).stdout, re.MULTILINE)[1])
