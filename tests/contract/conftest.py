"""What contract tests share: the two servers, the kit's roles and tables on them, a publisher, a health check's process."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import valkey
from celery import Celery
from kombu import pools

from airflow_celery_kit.guards import install as guards
from airflow_celery_kit.journal import install as journal
from airflow_celery_kit.probes.broker import HIGH_WATER
from airflow_celery_kit.runtimes import prepare as preparation
from airflow_celery_kit.settings import Settings
from airflow_celery_kit.worker import broker
from tests.contract.servers import Stack, fresh_settings, from_containers, from_wheels, left_out, wait_for
from tests.contract.smoke import harness
from tests.contract.tables import DROP, METADATA, RESULTS, RESULTS_TABLE, TABLE


@pytest.fixture(scope="session")
def containers_left_out() -> str:
    """Why the servers do not run as containers too; nothing where they do."""
    return left_out()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on both kinds of servers, where both are there and what it looks at may differ between them."""
    if "stack" in metafunc.fixturenames:
        alone = getattr(metafunc.module, "ON_WHEELS_ALONE", False) or bool(left_out())
        metafunc.parametrize("stack", ["wheels"] if alone else ["wheels", "containers"], indirect=True, scope="session")


@pytest.fixture(scope="session")
def stack(request, tmp_path_factory) -> Iterator[Stack]:
    """The two servers with the configuration and the secret files of the kit."""
    settings = fresh_settings(tmp_path_factory.mktemp("stack"))
    with {"wheels": from_wheels, "containers": from_containers}[request.param](settings) as started:
        wait_for("PostgreSQL and Valkey", started.answers)
        yield started


@pytest.fixture(scope="session")
def prepared(stack) -> Stack:
    """The servers with the kit's roles and databases."""
    ended = prepare(stack)
    assert ended.returncode == 0, ended.stderr
    return stack


def prepare(stack: Stack, **environment: str) -> subprocess.CompletedProcess:
    """Make roles and databases in a process of its own, as airflow-init does."""
    port = stack.settings["POSTGRES_PORT"]
    variables = {
        "PATH": os.environ["PATH"],
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://airflow@127.0.0.1:{port}/airflow",
        "PGPASSFILE": str(own_copy(stack.settings, "pgpass_init")),
        "KIT_SECRETS": str(stack.settings.secrets),
    } | environment
    code = (
        "from airflow_celery_kit.runtimes import prepare as p; server = p.uri('postgres', 'postgres');"
        "p.make_roles_and_databases(server); p.journal.make_database(server, p.make_role, p.secret)"
    )
    return subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, timeout=60, check=False
    )


def own_copy(settings: Settings, name: str) -> Path:
    """A secret file that belongs to this process's user, as libpq insists; as root the kit's belong to the containers'."""
    copy = settings.root / "own" / name
    copy.parent.mkdir(exist_ok=True)
    shutil.copyfile(settings.secrets / name, copy)
    copy.chmod(0o600)
    return copy


@pytest.fixture(scope="session")
def make_roles():
    """Makes roles and databases; see `prepare`."""
    return prepare


@pytest.fixture
def publisher(stack, monkeypatch) -> Iterator[Celery]:
    """A Celery app with the kit's credentials and transport options; the broker is empty afterwards."""
    monkeypatch.setenv("KIT_BROKER_PASSWORD_FILE", str(stack.settings.secrets / "valkey_password"))
    celery = Celery("airflow", broker=f"redis://127.0.0.1:{stack.settings['VALKEY_PORT']}/0", set_as_current=False)
    celery.conf.update(broker_transport_options=dict(broker.TRANSPORT_OPTIONS), **broker.credentials())
    yield celery
    celery.close()
    # A connection that outlives the test believes that its queues are still bound.
    pools.reset()
    for key in stack.valkey.keys("*"):
        stack.valkey.delete(key)


@pytest.fixture
def controllers_client(stack) -> valkey.Valkey:
    """A client of the broker with the controller's own login."""
    settings = stack.settings
    return valkey.Valkey(
        port=settings.number("VALKEY_PORT"), username="kit", password=settings["CONTROLLER_PASSWORD"], socket_timeout=5
    )  # fmt: skip


@pytest.fixture
def nearly_full(stack):
    """A broker above its high-water mark that still takes messages."""
    client = stack.valkey
    limit = client.info("memory")["maxmemory"]
    # A gap is filled by the broker itself: the append-only file, whose way to a busy disk may take seconds, gets one short line.
    missing = int(limit * (HIGH_WATER + 0.01)) - client.info("memory")["used_memory"]
    client.setrange("filler", missing, "x")
    assert client.info("memory")["used_memory"] > limit * HIGH_WATER
    yield stack
    client.delete("filler")


@pytest.fixture
def probe(stack):
    """Runs a health check as Docker does, in a process of its own with the environment of its service."""

    def run(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        settings = stack.settings
        variables = {
            "PATH": os.environ["PATH"],
            "AIRFLOW__CELERY__BROKER_URL": f"redis://127.0.0.1:{settings['VALKEY_PORT']}/0",
            "KIT_BROKER_USER": "airflow",
            "KIT_BROKER_PASSWORD_FILE": str(settings.secrets / "valkey_password"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://airflow@127.0.0.1:{settings['POSTGRES_PORT']}/airflow",
            "PGPASSFILE": str(own_copy(settings, "pgpass_metadata")),
            "KIT_INSTANCE": "here-1",
        } | environment
        command = [sys.executable, "-m", f"airflow_celery_kit.probes.{name}", *arguments]
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=15, check=False)

    return run


@pytest.fixture(scope="session")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[harness.Broker]:
    """A broker that tests with real workers may kill."""
    with harness.running_broker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture
def bench(own_broker: harness.Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[harness.Bench]:
    """An empty broker and no worker yet."""
    monkeypatch.setenv("KIT_BROKER_PASSWORD_FILE", str(own_broker.settings.secrets / "valkey_password"))
    with harness.bench(tmp_path, own_broker) as made:
        yield made


@pytest.fixture(scope="module")
def ready(prepared):
    """The tables, and the grants that airflow-init makes on them."""
    prepared.query(TABLE, **METADATA)
    prepared.query(RESULTS_TABLE, **RESULTS)
    prepared.query(
        preparation.METADATA_GRANTS
        + preparation.wake_triggers()
        + journal.outbox()
        + guards.statements().replace("%", "%%"),
        **METADATA,
    )
    prepared.query(preparation.RESULTS_GRANTS, **RESULTS)
    yield prepared
    prepared.query(DROP, **METADATA)
    prepared.query(
        "DROP FUNCTION kit_forget_results; DROP TABLE celery_taskmeta; DROP SEQUENCE task_id_sequence", **RESULTS
    )
