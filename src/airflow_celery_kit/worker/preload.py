"""Runs in: a worker's first process, before it forks; loads once what every task process would load for itself.

Pool and task processes are forks, so they share the memory too. As Airflow's documentation says of tasks that are forked, a change
in a plugin is seen by tasks when the worker is started again.
"""

import contextlib
import importlib
import logging
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

log = logging.getLogger(__name__)

# What a task's supervisor and its process import inside functions.
MODULES = (
    "airflow.executors.workloads",
    "airflow.sdk.execution_time.execute_workload",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.providers.standard.decorators.bash",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.operators.empty",
    "jinja2.ext",
)
WARM_DAG = Path(__file__).parent / "warm" / "warm_dag.py"


def load_modules(names: Iterable[str] = MODULES) -> None:
    """Import modules; one that is not there is not needed."""
    for name in names:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)


def load_definitions() -> None:
    """Load every name that Dags import from `airflow.sdk`, which does so when it is asked for; some names are not there."""
    sdk = importlib.import_module("airflow.sdk")
    for name in sdk.__all__:
        getattr(sdk, name, None)


def load_plugins() -> None:
    """Load Airflow's plugins and listeners."""
    from airflow.sdk.listener import get_listener_manager

    get_listener_manager()


def parse_a_dag() -> None:
    """Parse a Dag of the kit's own as a task process does with its Dag. Its folder does not stay where modules are looked for."""
    from airflow.dag_processing.dagbag import BundleDagBag

    folder, path = WARM_DAG.parent, sys.path.copy()
    try:
        BundleDagBag(
            dag_folder=str(WARM_DAG), safe_mode=False, load_op_links=False, bundle_path=folder, bundle_name="kit"
        )
    finally:
        sys.path[:] = path


STEPS: tuple[Callable[[], None], ...] = (load_modules, load_definitions, load_plugins, parse_a_dag)


def run(steps: Iterable[Callable[[], None]] = STEPS) -> None:
    """Take every step; one that fails costs its time in each task, which is said once."""
    for step in steps:
        try:
            step()
        except Exception as problem:
            log.warning("each task loads for itself what %s could not: %s", step.__name__, problem)
