"""Runs in: `make docs`; examples of what commands print with `--json`, made by the code that prints them."""

from airflow_celery_kit.clients import Worker
from airflow_celery_kit.dag_runs import TASK_FIELDS, Progress
from airflow_celery_kit.doctor import Finding
from airflow_celery_kit.runtimes.base import Instance
from airflow_celery_kit.status import Status

EXAMPLE_STATUS = Status(
    runtime="embedded",
    reasons=(),
    workers=(Worker("airflow-worker-1", ("default",), 4),),
    services=(Instance("airflow-worker", "airflow-worker-1", "running", True, 4711, None, "airflow-worker-1"),),
    urls={"airflow": "http://127.0.0.1:8080", "flower": "http://127.0.0.1:5555"},
).as_dict()
EXAMPLE_VALUES = {"map_index": -1, "try_number": 1, "state": "success", "queue": "default"}
EXAMPLE_TASK = {name: EXAMPLE_VALUES.get(name, "...") for name in (*TASK_FIELDS, "queued_at")}
JSON_SHAPES = {
    "init": (("kit init --json", {"env": "...", "project": "lakehouse", "image_source": "registry"}),),
    "doctor": (("kit doctor --json", [Finding("machine", True, "...").as_dict()]),),
    "status": (("kit status --json", EXAMPLE_STATUS),),
    "run": (
        ("kit run DAG_ID --json", {"dag_id": "...", "run_id": "..."}),
        ("kit run DAG_ID --wait --json", Progress("...", "...", "success", (EXAMPLE_TASK,), 3.2).as_dict()),
    ),
}
