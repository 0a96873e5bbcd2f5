"""Runs in: `make docs`; examples of what commands and the REST API say, made by the code that says it."""

from datetime import UTC, datetime

from airflow_celery_kit.api.snapshot import Snapshot
from airflow_celery_kit.clients import Queues, Worker
from airflow_celery_kit.controller.queues import queue_facts, worker_facts
from airflow_celery_kit.controller.waiting import Due
from airflow_celery_kit.dag_runs import TASK_FIELDS, Progress
from airflow_celery_kit.doctor import Finding
from airflow_celery_kit.runtimes.base import Instance
from airflow_celery_kit.status import Status

EXAMPLE_STEP = {"step": 3, "waiting": 12, "oldest_seconds": 41.5}
EXAMPLE_QUEUE = queue_facts("default", [EXAMPLE_STEP], 4, Due(28, 63.2))
EXAMPLE_WORKER = worker_facts(
    "airflow-worker-1",
    {
        "held": list("abcd"),
        "slots": 4,
        "queues": ["default"],
        "busy": 0.62,
        "memory_bytes": 734_003_200,
        "host": "machine-1",
        "since": 1_769_860_800.0,
    },
)
EXAMPLE_SNAPSHOT = Snapshot(
    datetime(2026, 1, 31, 12, 0, tzinfo=UTC),
    1.2,
    {"queues": [EXAMPLE_QUEUE], "workers": [EXAMPLE_WORKER], "delivered": 4},
)
EXAMPLE_STATUS = Status(
    runtime="embedded",
    reasons=(),
    workers=(Worker("airflow-worker-1", ("default",), 4),),
    services=(Instance("airflow-worker", "airflow-worker-1", "running", True, 4711, None, "airflow-worker-1"),),
    urls={"airflow": "http://127.0.0.1:8080", "flower": "http://127.0.0.1:5555"},
    queues=Queues((EXAMPLE_QUEUE,)),
).as_dict()
EXAMPLE_VALUES = {"map_index": -1, "try_number": 1, "state": "success", "queue": "default"}
EXAMPLE_TASK = {name: EXAMPLE_VALUES.get(name, "...") for name in (*TASK_FIELDS, "queued_at")}
# The benchmark is no part of the package; a unit test compares this with what it prints.
EXAMPLE_BENCH = {
    "bars": [
        {
            "load": "a",
            "figure": "seconds",
            "unit": "of stock",
            "bar": 0.35,
            "stretch": 0.25,
            "median": 0.26,
            "verdict": "met",
        }
    ],
    "figures": [{"load": "a", "figure": "seconds", "stock": [32.1], "kit": [8.3], "ratio": 0.26}],
}
JSON_SHAPES = {
    "bench": (("kit bench --json", EXAMPLE_BENCH),),
    "init": (("kit init --json", {"env": "...", "project": "lakehouse", "image_source": "registry"}),),
    "doctor": (("kit doctor --json", [Finding("machine", True, "...").as_dict()]),),
    "logs": (
        (
            "kit logs --search broker --json",
            [{"at": "...", "level": "warning", "instance": "airflow-worker-1", "text": "..."}],
        ),
    ),
    "status": (("kit status --json", EXAMPLE_STATUS),),
    "run": (
        ("kit run DAG_ID --json", {"dag_id": "...", "run_id": "..."}),
        ("kit run DAG_ID --wait --json", Progress("...", "...", "success", (EXAMPLE_TASK,), 3.2).as_dict()),
    ),
}
