"""Parses the Dags as Airflow does, in an Airflow home that is thrown away; no database, no server."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DAGS = Path(__file__).parents[3] / "dags"
OURS = ("branching", "chains", "heavy_queue", "installed_distributions", "limited", "resting", "resumable")


@pytest.fixture(scope="session")
def bags() -> dict:
    """What Airflow makes of each of our files, by file name."""
    from airflow.dag_processing.dagbag import DagBag

    return {name: DagBag(DAGS / f"{name}.py", bundle_path=DAGS, bundle_name="dags-folder") for name in OURS}


@pytest.fixture(params=OURS)
def name(request) -> str:
    """Each of our Dags in turn; the file and the Dag are called the same."""
    return request.param


def load(name: str) -> ModuleType:
    """The Dag file as a module, for the plain functions in it."""
    spec = importlib.util.spec_from_file_location(f"dag_file_{name}", DAGS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def dag_file():
    """Loads a Dag file by its name."""
    return load
