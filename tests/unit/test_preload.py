"""What a worker loads before it forks, in an interpreter of its own."""

import json
import os
import subprocess
import sys

import pytest

from airflow_celery_kit import preload

DAG = """
from airflow.sdk import dag, task
from reports import NAME

@dag(schedule=None)
def sales():
    @task
    def load() -> int:
        return 1
    @task.bash
    def count() -> str:
        return "echo"
    load() >> count()

sales()
"""
PARSE = """
import json, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from airflow_celery_kit import preload
if "tasks" in sys.argv:
    preload.for_tasks()
elif "parsing" in sys.argv:
    import airflow.dag_processing.manager
    preload.for_parsing()
else:
    preload.load_modules(["airflow.sdk.execution_time.supervisor"])
before = set(sys.modules)
from airflow.dag_processing.dagbag import BundleDagBag
if "parsing" not in sys.argv:
    from airflow.dag_processing.bundles.local import LocalDagBundle
    from airflow.sdk.execution_time import supervisor, task_runner
    from airflow.sdk.listener import get_listener_manager
    from airflow.utils.net import get_hostname
    get_listener_manager().hook.on_starting(component=None)
    get_hostname()
path = Path(sys.argv[1])
bag = BundleDagBag(dag_folder=str(path), safe_mode=False, load_op_links=False, bundle_path=path.parent, bundle_name="b")
print(json.dumps([list(bag.dags), sorted(set(sys.modules) - before)]))
"""


def parse_after(folder, *how: str) -> tuple[list[str], list[str]]:
    """Parse a Dag in a new interpreter; return the Dags found and the modules that only this has loaded."""
    path = folder / "sales.py"
    path.write_text(DAG)
    (folder / "reports.py").write_text("NAME = 'the team has a module of the name of one of the kit'")
    environment = os.environ | {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "airflow_celery_kit.instance.name",
    }
    ended = subprocess.run(
        [sys.executable, "-c", PARSE, str(path), *how], env=environment, capture_output=True, text=True, check=True
    )
    dags, loaded = json.loads(ended.stdout.splitlines()[-1])
    return dags, loaded


@pytest.mark.parametrize("what", ["tasks", "parsing"])
def test_a_fork_that_parses_a_dag_loads_nothing_but_the_dag(tmp_path, what):
    dags, loaded = parse_after(tmp_path, what)
    assert dags == ["sales"]
    assert [name for name in loaded if not name.startswith("unusual_prefix_")] == ["reports"]


def test_without_it_every_task_loads_a_hundred_modules(tmp_path):
    dags, loaded = parse_after(tmp_path)
    assert dags == ["sales"]
    assert len(loaded) > 100


def test_parsing_leaves_no_handler_of_a_signal_behind(tmp_path):
    code = (
        "import signal, sys; from airflow_celery_kit import preload; look = lambda: [*map(signal.getsignal, signal.valid_signals())]\n"
        "import airflow.dag_processing.dagbag; before = look(); preload.parse_a_dag(); sys.exit(before != look())"
    )
    environment = os.environ | {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_a_module_that_is_not_installed_keeps_no_other_from_being_loaded(monkeypatch):
    monkeypatch.delitem(sys.modules, "sched", raising=False)
    preload.load_modules(["no_such_provider.operators", "sched"])
    assert "sched" in sys.modules


def test_a_step_that_fails_is_told_and_the_others_are_taken(caplog):
    taken = []

    def broken() -> None:
        raise ImportError("no module named sales")

    preload.run((broken, lambda: taken.append(1)))
    assert taken == [1]
    assert "each fork loads for itself what broken could not: no module named sales" in caplog.text
