"""The rules of the design that a reader should be able to trust without looking: who imports what, how long things are."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "src" / "airflow_celery_kit"
OURS = "airflow_celery_kit"
MODULES = {path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text()) for path in sorted(SOURCE.rglob("*.py"))}
SCRIPTS = [path for folder in ("scripts", "docker") for path in sorted((REPOSITORY / folder).rglob("*.py"))]
IMPORT_AIRFLOW = (
    "worker/",
    "scheduler/",
    "policies/",
    "preload.py",
    "stack.py",
    "service_report.py",
    "warm/",
    "plugin.py",
    "task/",
    "api/",
    "dag_processor/",
    "triggerer/",
    "runtimes/prepare.py",
)
PROBES = [name for name in MODULES if name.startswith("probes/")]
HEAVY = ("airflow", "celery", "kombu", "httpx", "sqlalchemy", "rich")


def imports(module: str) -> Iterator[str]:
    """Every module that a file imports, anywhere in it, by its full name."""
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def breaches(forbidden, modules=MODULES) -> list[str]:
    """`file: import` for each import that `forbidden` says is one."""
    return [f"{module}: {name}" for module in modules for name in imports(module) if forbidden(module, name)]


def functions() -> Iterator[tuple[str, int]]:
    """Every function with its length in lines."""
    scripts = {path.relative_to(REPOSITORY).as_posix(): ast.parse(path.read_text()) for path in SCRIPTS}
    for module, tree in (MODULES | scripts).items():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield f"{module}:{node.name}", node.end_lineno - node.lineno + 1


def test_the_rules_have_something_to_look_at():
    assert len(MODULES) > 30
    assert {path.parent.name for path in SCRIPTS} >= {"scripts", "docker"}
    assert "airflow_celery_kit.settings.Settings" in set(imports("doctor.py"))
    assert any(name.startswith("airflow.") for name in imports("worker/celery_settings.py"))


@pytest.mark.parametrize("module", MODULES)
def test_a_module_says_first_where_it_runs(module):
    assert (ast.get_docstring(MODULES[module]) or "").startswith("Runs in: ")


def test_imports_are_absolute():
    assert [
        m for m, tree in MODULES.items() for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level
    ] == []


def test_airflow_is_imported_only_where_airflow_runs():
    assert (
        breaches(lambda module, name: name.split(".")[0] == "airflow" and not module.startswith(IMPORT_AIRFLOW)) == []
    )


def test_nobody_imports_the_command_line_or_the_api():
    def forbidden(module, name):
        folder = name.removeprefix(f"{OURS}.").split(".")[0]
        return name.startswith(OURS) and folder in ("cli", "api") and not module.startswith((f"{folder}/", "plugin.py"))

    assert breaches(forbidden) == []


def test_the_core_imports_nothing_of_ours_nor_of_the_outside():
    core = [module for module in MODULES if module.startswith("core/")]
    outside = (OURS, "airflow", "celery", "psycopg2", "valkey", "socket", "time", "httpx")
    assert breaches(lambda _, name: name.startswith(outside) and not name.startswith(f"{OURS}.core"), core) == []


def test_the_router_and_the_broker_settings_import_no_framework():
    light = ("scheduler/router.py", "worker/broker.py", "instance.py", "runtimes/container_start.py")
    assert breaches(lambda _, name: name.split(".")[0] in HEAVY, light) == []


@pytest.mark.parametrize("probe", PROBES)
def test_a_probe_loads_no_heavy_library_at_all(probe):
    """Looked at in a real process, because an import of an import costs as much."""
    module = f"{OURS}.{probe.removesuffix('.py').replace('/', '.').removesuffix('.__init__')}"
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"


def test_only_settings_reads_the_env_file():
    readers = {module for module, tree in MODULES.items() if '".env"' in ast.unparse(tree).replace("'", '"')}
    assert readers <= {"settings.py", "initialise.py"}


def test_no_file_is_longer_than_300_lines():
    files = [*SOURCE.rglob("*.py"), *SCRIPTS, *REPOSITORY.glob("tests/**/*.py")]
    assert {path.name: n for path in files if (n := len(path.read_text().splitlines())) > 300} == {}


def test_no_function_is_longer_than_40_lines():
    assert {name: length for name, length in functions() if length > 40} == {}


def test_no_shell_script_is_longer_than_ten_lines():
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    files = [REPOSITORY / name for name in listed.stdout.splitlines()]
    scripts = [
        path for path in files if path.is_file() and (path.suffix == ".sh" or shebang(path).endswith(("sh", "bash")))
    ]
    assert {path.name: n for path in scripts if (n := len(path.read_text().splitlines())) > 10} == {}


def shebang(path: Path) -> str:
    """A script's first line, nothing for other files."""
    with path.open("rb") as file:
        first = file.readline(80)
    return first.decode().strip() if first.startswith(b"#!") else ""


CHANGERS = [
    name for name, tree in MODULES.items()
    if any(isinstance(node, ast.FunctionDef) and node.name == "install" for node in tree.body)
]  # fmt: skip


@pytest.mark.parametrize("module", CHANGERS)
def test_what_can_be_installed_is_installed(module):
    name = Path(module).stem
    used = {
        node.value.id
        for other, tree in MODULES.items() if other != module
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "install" and isinstance(node.value, ast.Name)
    }  # fmt: skip
    assert len(CHANGERS) >= 10 and name in used
