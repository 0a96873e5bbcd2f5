"""Runs in: `make docs`; services.md, the services of the Compose file."""

import json
import re
from collections.abc import Iterator

from reference.checkout import COMPOSE, SERVICES
from reference.markdown import code, listed, page, table
from reference.mounts import readable_part, writable_part

WHY_SERVICE = {
    "postgres": "Holds the metadata of Airflow (database `airflow`) and the results of Celery (database `celery`).",
    "valkey": "The broker: holds the messages of tasks that wait for a worker, in an append-only file on disk.",
    "airflow-init": "Makes roles, databases, schema and the first administrator, then ends. The others wait for it.",
    "airflow-apiserver": "Serves the UI, the REST API, and the execution API, over which workers report their tasks.",
    "airflow-scheduler": "Decides which task is due and puts it on the broker. It never runs a task itself.",
    "airflow-dag-processor": "Reads the files in `dags/` and writes what they define into the metadata database.",
    "airflow-triggerer": "Waits for events on behalf of deferred tasks, so that waiting occupies no worker slot.",
    "airflow-worker": "Runs the tasks of the queue `default`. Have as many as you like.",
    "airflow-worker-heavy": "Runs the tasks of the queue `heavy` and no others: long work never blocks short work.",
    "airflow-controller": "Compares what Airflow, the broker and the workers believe, and frees the tasks that are stuck.",
    "prometheus": "Reads the metrics every 15 s, keeps them for `PROMETHEUS_DAYS`, and raises alerts. Not on the embedded runtime.",
    "grafana": "Shows the dashboards of `config/grafana`. Not on the embedded runtime.",
    "airflow-flower": "Shows workers, queues and tasks as the broker sees them. The kit asks it who is registered.",
}
CONDITIONS = {
    "service_healthy": "healthy",
    "service_started": "started",
    "service_completed_successfully": "ended well",
}


def services_page() -> str:
    """The services of the Compose file."""
    intro = (
        "The embedded runtime runs the same services as processes, from the table in "
        "`src/airflow_celery_kit/runtimes/services.py`. There `airflow-init` is a step of `kit up`, there are no "
        "limits, and an instance is called `airflow-worker-2` instead of `lakehouse-airflow-worker-2`."
    )
    parts = [f"## {name}\n\n{WHY_SERVICE[name]}\n\n{service_table(one)}" for name, one in SERVICES.items()]
    return page("Services", "`docker-compose.yml`", intro, common_part(), writable_part(), readable_part(), *parts)


def common_part() -> str:
    """What every service has in common."""
    rows = [(code(name), code(json.dumps(value))) for name, value in COMPOSE["x-ordinary-user"].items()]
    intro = "Each container has these lines, unless its own table says otherwise."
    return f"## All services\n\n{intro}\n\n{table(('Key', 'Value'), rows)}"


def service_table(one: dict) -> str:
    """What one service says."""
    return table(("", ""), [(title, text) for title, text in service_rows(one) if text])


def service_rows(one: dict) -> Iterator[tuple[str, str]]:
    """The rows of a service's table, empty ones among them."""
    yield "Image", image_of(one)
    yield "Command", code(" ".join(one["command"]))
    yield "Starts after", ", ".join(f"`{name}` ({CONDITIONS[wait]})" for name, wait in waits_of(one))
    yield "Profile", listed(one.get("profiles", ()))
    yield "Ports", listed(f"{port['host_ip']}:{port['published']} to {port['target']}" for port in one.get("ports", ()))
    yield "Secrets", ", ".join(f"[{name}](secrets.md)" for name in one.get("secrets", ()))
    yield "Volumes", listed(one.get("volumes", ()))
    yield "In memory", listed(one.get("tmpfs", ()))
    yield "Health check", health_of(one)
    yield "Seconds to stop", code(one.get("stop_grace_period", ""))
    yield "Limits", listed(re.findall(r"\$\{(\w+)", json.dumps(one.get("deploy", {}).get("resources", ""))))
    yield "Restart", code(one["restart"])


def waits_of(one: dict) -> Iterator[tuple[str, str]]:
    """The services that one waits for, each with the condition."""
    yield from ((name, wait["condition"]) for name, wait in one.get("depends_on", {}).items())


def image_of(one: dict) -> str:
    """Name of the image and the build target, where the service builds it."""
    target = one.get("build", {}).get("target")
    return code(one["image"]) + (f", target `{target}` of the `Dockerfile`" if target else "")


def health_of(one: dict) -> str:
    """Command and rhythm of a health check."""
    check = one.get("healthcheck")
    if not check:
        return ""
    rhythm = f"every {check['interval']}, at most {check['timeout']}, {check['retries']} failures in a row count"
    return f"`{' '.join(check['test'][1:])}`; {rhythm}"
