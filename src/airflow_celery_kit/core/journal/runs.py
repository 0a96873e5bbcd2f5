"""Runs in: airflow-apiserver and the command line; the states by which Dag runs are looked for. Pure."""

from enum import StrEnum


class RunState(StrEnum):
    """Airflow's words, `removed` for a run that was deleted before its end, and `paused`, in which a run has one of Airflow's as well."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    REMOVED = "removed"
    PAUSED = "paused"
