"""Runs in: `make bench`; the stacks that are compared: the kit, and Airflow's quick-start settings under the same supervisor."""

import json
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg2

from airflow_celery_kit import dag_runs, env_file
from airflow_celery_kit.clients import Airflow
from airflow_celery_kit.runtimes.environment import LOOPBACK
from tests.benchmarks import cpu
from tests.benchmarks.hearing import Moments, heard
from tests.benchmarks.waits import AGED, BOUND_SECONDS, URGENT
from tests.stack.conftest import ports_from
from tests.stack.harness.stack import Stack
from tests.stack.harness.wait import wait_for
from tests.stack.harness.workspace import copy_checkout

HERE = Path(__file__).parent
STOCK = HERE.parent / "stack" / "stock"
FIRST_PORTS = {"stock": 26080, "kit": 27080, "fifo": 28080, "unrecorded": 29080}
# The same services and slots on both sides. PARALLELISM is twice the slots of the four workers of load (i); what one Dag run may
# have under way stands in the Dags themselves (`bench_parts.py`), because stock does not read that knob.
SLOTS = 4
KNOBS = {
    "WORKERS": "1", "WORKER_CONCURRENCY": str(SLOTS), "PARALLELISM": "32", "COMPOSE_PROFILES": "",
    "LONGEST_WAIT": f"{BOUND_SECONDS}s",
}  # fmt: skip
WORKER = "airflow-worker"
SCALE_SECONDS = 180
OWN_KNOBS = {
    "stock": {"CONTROLLERS": "0"},
    "kit": {},
    "fifo": {"PRIORITY_POLICY": "airflow"},
    "unrecorded": {"JOURNAL": "off"},
}
# All tasks are equal: what is asked for first runs first.
FIFO = "AIRFLOW__CORE__DEFAULT_TASK_WEIGHT_RULE=absolute\n"

RUNS = (
    "SELECT min(extract(epoch FROM queued_at)), max(extract(epoch FROM end_date)) FROM dag_run WHERE run_id = ANY(%s)"
)
TASKS = """
SELECT dag_id, run_id, task_id, map_index, state, hostname, extract(epoch FROM queued_dttm), extract(epoch FROM start_date),
       extract(epoch FROM end_date), external_executor_id, extract(epoch FROM scheduled_dttm)
FROM task_instance WHERE run_id = ANY(%s) ORDER BY start_date
"""
# One Dag of each file that is not of the first ones to be read.
READ = ("bench_wide_9", "bench_order", URGENT, AGED)
MOMENTS = ("due", "queued", "sent", "taken", "start", "end")
KNOWN = "SELECT 1 FROM dag WHERE dag_id = ANY(%s)"
OPEN = "SELECT count(*) FROM dag_run WHERE run_id = ANY(%s) AND state IN ('queued', 'running')"


@dataclass(frozen=True)
class Timed:
    """What one measured load took. Times are seconds since its first trigger, CPU is seconds by service."""

    makespan: float
    first_start: float
    tasks: tuple[dict[str, Any], ...]
    cpu: dict[str, float]

    @property
    def cpu_per_task(self) -> float:
        """CPU seconds of all processes for each task."""
        return sum(self.cpu.values()) / len(self.tasks)


NOTHING = Timed(0.0, 0.0, (), {})


@dataclass
class Side:
    """One running stack."""

    name: str
    stack: Stack

    @cached_property
    def api(self) -> Airflow:
        """Airflow's REST API, logged in."""
        return self.stack.api

    @cached_property
    def database(self) -> Any:
        """One connection for every look, so that looking costs a side nothing worth counting."""
        settings = self.stack.settings
        made = psycopg2.connect(
            host=LOOPBACK, port=settings["POSTGRES_PORT"], user="postgres", dbname="airflow", password=settings["POSTGRES_PASSWORD"]
        )  # fmt: skip
        made.autocommit = True
        return made

    def run(self, dags: list[str], seconds: float = 900, listen: bool = False) -> Timed:
        """Start a run of each Dag and wait for all of them. Raises AssertionError when a task does not succeed.

        Who listens knows of each task when its message was sent and taken, where the side tells that.
        """
        with heard(self.stack.settings) if listen else nullcontext({}) as moments:
            runs, used = self._run(dags, seconds)
        return self._timed(runs, used, moments)

    def _run(self, dags: list[str], seconds: float) -> tuple[list[str], dict[str, float]]:
        resting, before = cpu.count(self.stack.settings, WORKER), cpu.seconds(self.stack.settings)
        runs = [dag_runs.trigger(self.api, dag, None)[0] for dag in dags]
        wait_for(f"{len(dags)} runs on {self.name}", lambda: self._open(runs) == 0, seconds)
        wait_for("the workers' rest", lambda: cpu.count(self.stack.settings, WORKER) <= max(resting, 1), 30)
        return runs, cpu.spent(before, cpu.seconds(self.stack.settings))

    def scale(self, workers: int) -> None:
        """Have so many workers and wait until the broker knows all of them and no other; nothing happens where it is so already."""
        if self.stack.settings.number("WORKERS") == workers:
            return
        self.stack.kit("scale", str(workers))
        look = lambda: [one["name"] for one in self.stack.status()["workers"]]  # noqa: E731
        wait_for(f"{workers} registered workers on {self.name}", lambda: len(look()) == workers, SCALE_SECONDS, look)

    def knows(self, dag: str) -> bool:
        """Return whether the Dag processor has read a Dag."""
        return bool(self._rows(KNOWN, [dag]))

    def own_seconds(self, timed: Timed) -> float:
        """Return how long the functions themselves took in a load of `fibo` tasks."""
        runs = {task["run"] for task in timed.tasks}
        lines = (self.stack.root / "var" / "output" / "bench.jsonl").read_text().splitlines()
        return sum(one["own"] for one in map(json.loads, lines) if one["run"] in runs)

    def _open(self, runs: list[str]) -> int:
        return int(self._rows(OPEN, runs)[0][0])

    def _rows(self, statement: str, names: list[str]) -> list[tuple[Any, ...]]:
        with self.database.cursor() as cursor:
            cursor.execute(statement, (names,))
            return list(cursor.fetchall())

    def _timed(self, runs: list[str], used: dict[str, float], moments: Moments) -> Timed:
        begun, ended = map(float, self._rows(RUNS, runs)[0])
        names = ("dag", "run", "task", "index", "state", "host", "queued", "start", "end", "message", "due")
        tasks = [dict(zip(names, row, strict=True)) for row in self._rows(TASKS, runs)]
        assert {task["state"] for task in tasks} == {"success"}, f"{self.name}: not every task has succeeded"
        for task in tasks:
            task.update(moments.get(task["message"], {}))
            known = [moment for moment in MOMENTS if task.get(moment) is not None]
            task.update({moment: round(float(task[moment]) - begun, 3) for moment in known})
        return Timed(ended - begun, min(task["start"] for task in tasks), tuple(tasks), used)


@contextmanager
def running(folder: Path, names: Collection[str]) -> Iterator[list[Side]]:
    """Start stacks in fresh copies of the checkout and remove them afterwards."""
    with ExitStack() as cleanup:
        stacks = [Stack(copy_checkout(folder / name), "embedded") for name in names]
        for name, stack in zip(names, stacks, strict=True):
            cleanup.callback(stack.remove)
            prepare(stack, name)
            stack.make("up")
        sides = [Side(name, stack) for name, stack in zip(names, stacks, strict=True)]
        wait_for_dags(sides)
        yield sides


@contextmanager
def one_worker_afterwards(sides: list[Side]) -> Iterator[None]:
    """Take every side back to the number of workers that it began with, whatever happens in between."""
    with ExitStack() as cleanup:
        for side in sides:
            cleanup.callback(side.scale, int(KNOBS["WORKERS"]))
        yield


def prepare(stack: Stack, name: str) -> None:
    """Write a stack's knobs and put the workloads among its Dags; for `stock`, lay Airflow's own configuration over the kit's."""
    if name == "stock":
        shutil.copytree(STOCK, stack.root, dirs_exist_ok=True)
    if name == "fifo":
        with (stack.root / "config" / "airflow.env").open("a") as settings:
            settings.write(FIFO)
    for path in (HERE / "dags").glob("*.py"):
        shutil.copy(path, stack.root / "dags")
    stack.make("init")
    project = {"COMPOSE_PROJECT_NAME": f"{stack.settings.project}-bench-{name}"}
    knobs = project | KNOBS | OWN_KNOBS[name] | ports_from(FIRST_PORTS[name])
    env_file.record(stack.settings, knobs)


def wait_for_dags(sides: list[Side]) -> None:
    """Wait until READ is known on every side; stock looks for new files every five minutes."""
    for side in sides:
        for dag in READ:
            side.stack.wait_dag(dag, 400)
        side.stack.wait_dag("bench_grow_1600", 60)
    time.sleep(10)
