"""Runs in: the scheduler and its publishing processes; Celery asks it once for every message.

Celery merges what `route` returns under the options that Airflow passes, so Airflow's queue stays. It runs under the
executor's publish timeout: it imports little. It raises nothing but the timeout that keeps a task while the broker is away.
"""

import json
import time
from typing import Any

from airflow_celery_kit.core.priorities import NO_TASK, step
from airflow_celery_kit.probes import broker
from airflow_celery_kit.scheduler.gate import Gate, refuse
from airflow_celery_kit.worker.broker import SENT_AT

GATE = Gate(broker.write_from_environment)
# A message's header: which attempt of which task it is for; nothing where it is for none.
SUBJECT = "kit_task"


def workload_of(args: Any) -> dict[str, Any]:
    """Return the workload in a message's arguments, an empty one where there is none."""
    try:
        found = json.loads(args[0])
    except Exception:
        return {}
    return found if isinstance(found, dict) else {}


def describe(workload: dict[str, Any]) -> str:
    """Return `dag/run/task` for a workload, without anything secret.

    A mapped task carries its index, a retried one its try: `dag/run/task[3]#2`. Flower searches by words, so there are
    no spaces. A workload of another kind shows its type alone.
    """
    try:
        ti = workload.get("ti")
        if not ti:
            return str(workload.get("type", "workload"))
        mapped = f"[{ti['map_index']}]" if ti.get("map_index", -1) >= 0 else ""
        retried = f"#{ti['try_number']}" if ti.get("try_number", 1) > 1 else ""
        return f"{ti['dag_id']}/{ti['run_id']}/{ti['task_id']}{mapped}{retried}"
    except Exception:
        return NO_TASK


def subject(workload: dict[str, Any]) -> dict[str, Any] | None:
    """Return which attempt of which task a workload is for, None for a workload of another kind."""
    try:
        ti = workload["ti"]
        names = {name: ti[name] for name in ("dag_id", "run_id", "task_id", "map_index")}
        return {"task": ti["id"], "attempt": ti["try_number"]} | names
    except Exception:
        return None


def urgency(workload: dict[str, Any]) -> int:
    """Return the step of the broker's lists that a workload belongs to; what is no task is most urgent."""
    try:
        return step(int(workload["ti"]["priority_weight"]))
    except Exception:
        return 0


def route(name: str, args: Any, kwargs: Any, options: dict[str, Any], task: Any = None, **_: Any) -> dict[str, Any]:
    """Return the routing options of one message: its priority, and what monitoring shows in place of its arguments.

    Celery writes `argsrepr` and `kwargsrepr` into the message's headers and events; left alone they would
    hold the workload with its bearer token. The header SENT_AT is the wall clock in seconds: whoever looks at a queue sees how
    long its oldest message waits.
    """
    if problem := GATE.closed():
        refuse(problem)
    workload = workload_of(args)
    return {
        "priority": urgency(workload), "argsrepr": describe(workload), "kwargsrepr": "{}",
        "headers": {SENT_AT: time.time(), SUBJECT: subject(workload)},
    }  # fmt: skip
