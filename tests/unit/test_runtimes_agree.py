"""The embedded runtime's table and docker-compose.yml say the same, but for addresses, ports and paths."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from dotenv import dotenv_values

from airflow_celery_kit import secret_files
from airflow_celery_kit.knobs import KNOBS
from airflow_celery_kit.runtimes import environment, services
from airflow_celery_kit.settings import Settings

COMPOSE = yaml.safe_load(Path(__file__).parents[2].joinpath("docker-compose.yml").read_text())["services"]
NAMES = sorted(name for name in COMPOSE if name.startswith("airflow-"))
# Those of the embedded runtime are the user's own.
OBSERVERS = {"prometheus", "grafana"}
WORKERS = ("airflow-worker", "airflow-worker-heavy")
# Each runtime's own: the name file of a container, a process's own, a folder that a read-only system needs.
OWN = {"KIT_INSTANCE", "KIT_BEAT_FILE", "PATH", "MPLCONFIGDIR"}
KEEPS_FROM_WORKERS = ("airflow_db_password", "fernet_key", "jwt_secret", "api_secret_key", "postgres_password")


def embedded(settings: Settings, name: str) -> dict[str, str]:
    """An instance's environment without what it inherits and without the settings file."""
    return {
        key: value
        for key, value in services.environment_of(settings, f"{name}-1", {}).items()
        if key not in OWN and key not in environment.airflow_settings(settings, *services.BY_NAME[name].own)
    }


def composed(name: str) -> dict[str, str]:
    """The same of a container."""
    return {key: str(value) for key, value in COMPOSE[name]["environment"].items() if key not in OWN}


def secrets_in(variables: dict[str, str], folder: str) -> set[str]:
    """The secret files that an environment names."""
    return {found for value in variables.values() for found in re.findall(rf"{re.escape(folder)}/(\w+)", value)}


def plain(words: list[str]) -> list[str]:
    """A command without addresses, ports, paths and the two ways to write a knob."""
    shown = [re.sub(r"\$\{(\w+):-[^}]*\}", r"{\1}", word) for word in words]
    shown = [re.sub(r"^--(conf|address|port)=.*", r"--\1=", word) for word in shown]
    while "--host" in shown:
        del shown[shown.index("--host") : shown.index("--host") + 2]
    return ["PORT" if before == "--port" else word for before, word in zip(["", *shown], shown, strict=False)]


def test_both_run_the_same_airflow_services_and_servers():
    assert sorted(services.BY_NAME) == NAMES
    assert set(COMPOSE) - set(NAMES) - OBSERVERS == set(services.SERVERS)


@pytest.mark.parametrize("name", NAMES)
def test_the_command_is_the_same(name):
    assert plain(COMPOSE[name]["command"]) == plain(list(services.BY_NAME[name].command))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_variables_are_set(settings, name):
    # Embedded processes share folders and addresses; these containers need none of them.
    shared = set(environment.addresses(settings)) if name in ("airflow-flower", "airflow-controller") else set()
    assert set(embedded(settings, name)) - shared == set(composed(name)) - shared


@pytest.mark.parametrize("name", NAMES)
def test_the_same_secrets_are_given_and_no_container_has_one_it_does_not_use(settings, name):
    in_compose = secrets_in(composed(name), "/run/secrets")
    assert secrets_in(embedded(settings, name), str(settings.secrets)) == in_compose
    by_name = (
        {
            "airflow_db_password",
            "celery_db_password",
            "kit_db_password",
            "journal_writer_password",
            "journal_scheduler_password",
            "journal_reader_password",
            "admin_password",
        }
        if name == "airflow-init"
        else set()
    )
    assert set(COMPOSE[name]["secrets"]) == in_compose | by_name


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_has_neither_the_metadata_database_nor_a_signing_key(settings, name):
    secret_files.write(settings)
    for variables, folder in ((embedded(settings, name), str(settings.secrets)), (composed(name), "/run/secrets")):
        assert not [key for key in variables if re.search("SQL_ALCHEMY|FERNET|JWT|SECRET", key)]
        assert secrets_in(variables, folder) == {"pgpass_worker", "valkey_password"}
        assert "/airflow" not in urlsplit(variables["AIRFLOW__CELERY__RESULT_BACKEND"]).path
    assert set(COMPOSE[name]["secrets"]) == {"pgpass_worker", "valkey_password"}
    readable = "".join((settings.secrets / file).read_text() for file in COMPOSE[name]["secrets"])
    assert not [file for file in KEEPS_FROM_WORKERS if settings[file.upper()] in readable]


@pytest.mark.parametrize("name", sorted(services.BY_NAME))
def test_no_embedded_environment_or_command_holds_a_secret(settings, name):
    shown = str(services.environment_of(settings, f"{name}-1", {})) + str(services.command_of(settings, f"{name}-1"))
    assert [knob for knob, one in KNOBS.items() if one.secret and settings[knob] in shown] == []


def test_the_broker_address_is_to_the_letter(settings):
    users = [name for name in NAMES if "AIRFLOW__CELERY__BROKER_URL" in composed(name)]
    assert {composed(name)["AIRFLOW__CELERY__BROKER_URL"] for name in users} == {"redis://valkey:6379/0"}
    assert sorted(users) == [
        "airflow-controller",
        "airflow-flower",
        "airflow-scheduler",
        "airflow-worker",
        "airflow-worker-heavy",
    ]
    assert (
        embedded(settings, "airflow-worker")["AIRFLOW__CELERY__BROKER_URL"]
        == f"redis://127.0.0.1:{settings['VALKEY_PORT']}/0"
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_airflow_service_has_the_executor_from_the_one_settings_file(repository, settings, name):
    own = [f"config/{file}" for file in services.BY_NAME[name].own]
    assert COMPOSE[name]["env_file"] == ["config/airflow.env", "config/profiles/${KIT_PROFILE:-balanced}.env", *own]
    assert dotenv_values(repository / "config" / "airflow.env")["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert services.environment_of(settings, f"{name}-1", {})["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert "AIRFLOW__CORE__EXECUTOR" not in COMPOSE[name]["environment"]


@pytest.mark.parametrize("file", ["airflow.env", "worker.env", "controller.env"])
def test_the_settings_files_use_known_knobs_and_no_secret(repository, settings, file):
    text = "\n".join(line for line in (repository / "config" / file).read_text().splitlines() if line[:1] != "#")
    used = set(re.findall(r"\$\{(\w+)\}", text))
    assert used and used <= set(KNOBS)
    assert text.count("$") == len(re.findall(r"\$\{\w+\}", text))
    assert not [name for name in used if KNOBS[name].secret]
    assert "$" not in "".join(environment.airflow_settings(settings, file).values())


def test_what_one_service_alone_reads_stands_in_its_own_file_and_nowhere_else(repository):
    found = [dotenv_values(repository / "config" / f"{name}.env") for name in ("airflow", "worker", "controller")]
    assert len({name for one in found for name in one}) == sum(map(len, found))
    assert {name: one.own for name, one in services.BY_NAME.items() if one.own} == {
        "airflow-worker": ("worker.env",),
        "airflow-worker-heavy": ("worker.env",),
        "airflow-controller": ("controller.env",),
    }


@pytest.mark.parametrize(
    ("file", "readers"), [("worker.env", set(WORKERS)), ("controller.env", {"airflow-controller"})]
)
def test_a_file_of_one_service_s_own_reaches_no_other_on_either_runtime(repository, settings, file, readers):
    variables = set(dotenv_values(repository / "config" / file))
    in_compose = {name: (one.get("env_file", ()), set(one.get("environment", ()))) for name, one in COMPOSE.items()}
    in_embedded = {name: set(services.environment_of(settings, f"{name}-1", {})) for name in services.BY_NAME}
    assert {name for name, (files, _) in in_compose.items() if file in str(files)} == readers
    assert {name for name, (_, more) in in_compose.items() if more & variables} == set()
    assert {name for name, found in in_embedded.items() if found & variables} == readers
    assert variables and all(variables <= in_embedded[name] for name in readers)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "airflow-init"])
def test_the_health_check_and_the_time_to_stop_are_the_same(settings, name):
    check = [re.sub(r":\d+$", "", word) for word in services.probe_of(settings, f"{name}-1")[1:]]
    assert ["CMD", "python", *check] == [re.sub(r":\d+$", "", word) for word in COMPOSE[name]["healthcheck"]["test"]]
    seconds = re.sub(r"\$\{STOP_GRACE:-(\w+)\}", r"\1", COMPOSE[name]["stop_grace_period"])
    assert services.stop_seconds(settings, f"{name}-1") == int(seconds.rstrip("s"))


@pytest.mark.parametrize("name", ["airflow-apiserver", "airflow-flower"])
@pytest.mark.parametrize("bind", ["127.0.0.1", "0.0.0.0", "127.0.0.2"])
def test_the_embedded_health_check_asks_where_the_service_listens(settings, name, bind):
    bound = Settings(settings.root, {**settings.values, "BIND_ADDRESS": bind})
    asked = urlsplit(services.probe_of(bound, f"{name}-1")[-1]).hostname
    assert asked == ("127.0.0.1" if bind == "0.0.0.0" else bind)
