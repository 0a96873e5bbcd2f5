"""Runs in: `make docs`; the parts of services.md about what services can and cannot write to."""

from collections.abc import Iterator

from reference.checkout import SERVICES
from reference.markdown import code, table

TMP = "/tmp"  # noqa: S108
WHY_WRITABLE = {
    ("postgres", TMP): "temporary files of `initdb` and of the server",
    ("postgres", "/run/postgresql"): "the server's Unix socket and its lock file",
    ("postgres", "postgres-data"): "the databases",
    ("valkey", TMP): "room for temporary files of the server and the image's start script",
    ("valkey", "valkey-data"): "the append-only file",
    ("airflow-init", "logs"): "Airflow opens its log folder at start",
    ("airflow-scheduler", "logs"): "Airflow opens its log folder at start",
    ("airflow-dag-processor", "logs"): "one log for each Dag file",
    ("airflow-triggerer", "logs"): "logs of deferred tasks; old logs are removed from here",
    ("prometheus", TMP): "temporary files of the server",
    ("prometheus", "prometheus-data"): "the metrics of `PROMETHEUS_DAYS`",
    ("grafana", TMP): "temporary files of the server",
    ("grafana", "grafana-data"): "users and settings of Grafana; its dashboards come from `config/grafana`",
    ("airflow-flower", TMP): "the name of the instance, written at start for the health check",
}
WHY_WRITABLE_ELSE = {
    TMP: "the name of the instance, written at start for the health check, and temporary files of Python",
    "logs": "logs of tasks, which the UI reads from the same volume",
    "scheduler-spool": "events that wait for the journal",
    "worker-spool": "events of workers and tasks that wait for the journal",
    "./var/output": "files that tasks want to leave on the host; `KIT_OUTPUT_DIR` names the folder",
}
WHY_READABLE = {
    "/opt/airflow/config": "an empty `airflow.cfg`, which keeps Airflow from writing one, and Flower's configuration",
    "/opt/airflow/dags": "the Dag files",
    "/opt/airflow/plugins": "your own Airflow plugins",
    "/opt/airflow/logs": "logs of tasks, shown in the UI",
    "/etc/kit/postgresql.conf": "settings of the server",
    "/etc/kit/valkey.conf": "settings of the server",
    "/etc/kit/valkey-health.sh": "the health check",
    "/etc/kit": "what Prometheus reads, and the rules of its alerts",
    "/etc/grafana/kit-provisioning": "where Grafana finds Prometheus and the dashboards",
    "/etc/grafana/kit-dashboards": "the dashboards",
}
WHY_WORKER_TMP = "beat file of the health check, temporary files of tasks, cache of Matplotlib"


def writable_part() -> str:
    """The places that a service can write to although its root file system is read-only."""
    rows = [row for name, one in SERVICES.items() for row in writable_rows(name, one)]
    intro = "The root file system of every container is read-only. These are the exceptions."
    return f"## What can be written to\n\n{intro}\n\n{table(('Service', 'Path', 'Kind', 'Why'), rows)}"


def writable_rows(name: str, one: dict) -> Iterator[tuple[str, str, str, str]]:
    """One service's exceptions."""
    for mount in one.get("tmpfs", ()):
        path = mount.partition(":")[0]
        yield code(name), code(path), "memory, gone with the container", why_writable(name, path)
    for mount in one.get("volumes", ()):
        source, target, *mode = mount.split(":")
        if mode != ["ro"]:
            kind = "folder of the host" if source.startswith(".") else f"volume `{source}`"
            yield code(name), code(target), kind, why_writable(name, source)


def readable_part() -> str:
    """What services are shown but cannot change."""
    rows = [(code(target), code(source), WHY_READABLE[target]) for target, source in sorted(set(read_only_mounts()))]
    return f"## What is mounted read-only\n\n{table(('Path', 'From', 'Why'), rows)}"


def read_only_mounts() -> Iterator[tuple[str, str]]:
    """Target and source of each mount that a service can only read."""
    for one in SERVICES.values():
        for mount in one.get("volumes", ()):
            source, target, *mode = mount.split(":")
            if mode == ["ro"]:
                yield target, source


def why_writable(service: str, place: str) -> str:
    """The reason for one exception; a place without one is an error of this script."""
    if place == TMP and service.startswith("airflow-worker"):
        return WHY_WORKER_TMP
    return WHY_WRITABLE.get((service, place)) or WHY_WRITABLE_ELSE[place]
