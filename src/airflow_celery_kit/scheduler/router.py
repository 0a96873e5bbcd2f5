"""Runs in: the scheduler and its publishing processes; Celery asks it once for every message.

Celery merges what `route` returns under the options that Airflow passes, so Airflow's queue stays. It runs under the
executor's publish timeout: it imports little. It raises nothing but the timeout that keeps a task while the broker is away.
"""

import json
from typing import Any

from airflow_celery_kit.probes import broker
from airflow_celery_kit.scheduler.gate import Gate, refuse

GATE = Gate(broker.write_from_environment)


def describe(args: Any) -> str:
    """Return `dag/run/task` for the workload JSON in a message's arguments, without anything secret.

    A mapped task carries its index, a retried one its try: `dag/run/task[3]#2`. Flower searches by words, so there are
    no spaces. A workload of another kind shows its type alone.
    """
    try:
        workload = json.loads(args[0])
        ti = workload.get("ti")
        if not ti:
            return str(workload.get("type", "workload"))
        mapped = f"[{ti['map_index']}]" if ti.get("map_index", -1) >= 0 else ""
        retried = f"#{ti['try_number']}" if ti.get("try_number", 1) > 1 else ""
        return f"{ti['dag_id']}/{ti['run_id']}/{ti['task_id']}{mapped}{retried}"
    except Exception:
        return "workload"


def route(name: str, args: Any, kwargs: Any, options: dict[str, Any], task: Any = None, **_: Any) -> dict[str, Any]:
    """Return the routing options of one message: what monitoring shows in place of its arguments.

    Celery writes `argsrepr` and `kwargsrepr` into the message's headers and events; left alone they would
    hold the workload with its bearer token.
    """
    if problem := GATE.closed():
        refuse(problem)
    return {"argsrepr": describe(args), "kwargsrepr": "{}"}
