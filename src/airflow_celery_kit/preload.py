"""Runs in: a worker's first process and the Dag processor, before they fork; loads once what every fork would load for itself.

Pool and task processes, and those that parse a file, are forks, so they share the memory too. As Airflow's documentation says of
tasks that are forked, a change in a plugin is seen by tasks when the worker is started again.
"""

import contextlib
import importlib
import logging
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

log = logging.getLogger(__name__)

# What most Dag files import in the end, or their Dag's first template.
OPERATORS = (
    "airflow.providers.standard.decorators.bash",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.operators.empty",
    "jinja2.ext",
)
# What a task's supervisor and its process import inside functions, too.
MODULES = (
    "airflow.dag_processing.bundles.local",
    "airflow.executors.workloads",
    "airflow.sdk.execution_time.execute_workload",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow_celery_kit.instance",
    "airflow_celery_kit.core.guards.rules",
    *OPERATORS,
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
    """Parse a Dag of the kit's own as a fork does with its file.

    Neither its folder stays where modules are looked for, nor the handlers of signals that parsing leaves behind.
    """
    from airflow.dag_processing.dagbag import BundleDagBag

    folder, path = WARM_DAG.parent, sys.path.copy()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGSEGV, signal.SIGALRM)}
    try:
        BundleDagBag(
            dag_folder=str(WARM_DAG), safe_mode=False, load_op_links=False, bundle_path=folder, bundle_name="kit"
        )
    finally:
        sys.path[:] = path
        for number, handler in handlers.items():
            # What was not installed from Python has no value that it could be put back by.
            if handler is not None:
                signal.signal(number, handler)


def load_operators() -> None:
    """Import what most Dag files use."""
    load_modules(OPERATORS)


Steps = tuple[Callable[[], None], ...]
TASKS: Steps = (load_modules, load_definitions, load_plugins, parse_a_dag)
PARSING: Steps = (load_operators, load_definitions, parse_a_dag)


def for_tasks() -> None:
    """Load what every task's process would."""
    run(TASKS)


def for_parsing() -> None:
    """Load what every process that parses a file would."""
    run(PARSING)


def run(steps: Iterable[Callable[[], None]]) -> None:
    """Take every step; one that fails costs its time in each fork, which is said once."""
    for step in steps:
        try:
            step()
        except Exception as problem:
            log.warning("each fork loads for itself what %s could not: %s", step.__name__, problem)
