"""docker-compose.yml keeps the house rules, for each service after its anchors are merged."""

import re
from pathlib import Path

import pytest
import yaml

from airflow_celery_kit.knobs import KNOBS

# Undecided (empty) until an engine answered at `kit init`; Compose by itself then takes the registry.
OTHER_DEFAULTS = {"IMAGE_SOURCE": "registry"}
VARIABLE = re.compile(r"\$\{(\w+)(?:(:-|:\?|-|\?)([^}]*))?\}")
ENDS = ("airflow-init",)


@pytest.fixture(scope="module")
def text() -> str:
    """The file as it is written."""
    return Path(__file__).parents[2].joinpath("docker-compose.yml").read_text()


@pytest.fixture(scope="module")
def services(text) -> dict:
    """Every service with its anchors merged, profiles or not."""
    return yaml.safe_load(text)["services"]


def every(services: dict, wanted) -> None:
    """Fail with the names of the services that are not as `wanted` says."""
    assert [name for name, service in services.items() if not wanted(name, service)] == []


def test_the_services_are_those_of_the_design(services):
    assert set(services) == {
        "postgres", "valkey", "airflow-init", "airflow-apiserver", "airflow-scheduler", "airflow-dag-processor",
        "airflow-triggerer", "airflow-worker", "airflow-worker-heavy", "airflow-controller", "airflow-flower",
        "prometheus", "grafana",
    }  # fmt: skip
    assert {name: one["profiles"] for name, one in services.items() if "profiles" in one} == {
        "airflow-worker-heavy": ["heavy"], "prometheus": ["observability", "prometheus"], "grafana": ["observability"],
    }  # fmt: skip
    assert "airflow-webserver" in services["airflow-apiserver"]["networks"]["default"]["aliases"]


def test_every_service_that_stays_has_a_health_check_with_an_end(services):
    wanted = {"test", "interval", "timeout", "retries", "start_period"}
    every(services, lambda name, one: name in ENDS or wanted <= set(one["healthcheck"]))


def test_every_service_that_stays_has_time_to_stop(services):
    every(
        services,
        lambda name, one: name in ENDS or re.fullmatch(r"\d+s|\$\{STOP_GRACE:-600s\}", one["stop_grace_period"]),
    )
    assert {name for name, one in services.items() if "STOP_GRACE" in str(one.get("stop_grace_period"))} == {
        "airflow-worker",
        "airflow-worker-heavy",
    }


def test_every_service_comes_back_and_the_one_that_ends_tries_a_few_times(services):
    every(services, lambda name, one: one["restart"] == ("on-failure:3" if name in ENDS else "unless-stopped"))


def test_every_container_is_an_ordinary_user_without_capabilities_on_a_read_only_system(services):
    every(services, lambda _, one: one["user"].startswith("${KIT_UID:?") and one["user"].endswith("}:0"))
    every(services, lambda _, one: one["cap_drop"] == ["ALL"] and "cap_add" not in one)
    every(services, lambda _, one: one["security_opt"] == ["no-new-privileges:true"])
    every(services, lambda _, one: one["read_only"] is True and one["init"] is True)
    every(services, lambda _, one: not {"privileged", "container_name", "network_mode", "pid", "devices"} & set(one))


def test_every_service_has_limits_that_are_knobs(services):
    def limited(_, one):
        limits = one["deploy"]["resources"]["limits"]
        suffixes = {"cpus": "CPUS", "memory": "MEMORY", "pids": "PIDS"}
        return all(re.fullmatch(rf"\$\{{\w+_{suffix}:-[^}}]+\}}", limits[key]) for key, suffix in suffixes.items())

    every(services, limited)


def test_every_log_is_rotated(services):
    every(services, lambda _, one: one["logging"]["driver"] == "json-file")
    every(services, lambda _, one: {"max-size", "max-file"} <= set(one["logging"]["options"]))


def test_ports_are_published_for_what_people_look_at_alone_and_on_loopback_by_default(services):
    published = {name: one["ports"] for name, one in services.items() if "ports" in one}
    assert published == {
        "airflow-apiserver": [
            {"target": 8080, "published": "${AIRFLOW_PORT:-8080}", "host_ip": "${BIND_ADDRESS:-127.0.0.1}"}
        ],
        "airflow-flower": [
            {"target": 5555, "published": "${FLOWER_PORT:-5555}", "host_ip": "${BIND_ADDRESS:-127.0.0.1}"}
        ],
        "prometheus": [{"target": 9090, "published": "${PROMETHEUS_PORT:-9090}", "host_ip": "127.0.0.1"}],
        "grafana": [{"target": 3000, "published": "${GRAFANA_PORT:-3000}", "host_ip": "127.0.0.1"}],
    }


def test_nobody_gets_the_docker_socket_and_only_logs_output_and_events_are_shared_for_writing(services):
    mounts = {mount for one in services.values() for mount in one.get("volumes", ())}
    assert not [mount for mount in mounts if "docker.sock" in mount]
    writable = {mount.partition(":")[0] for mount in mounts if not mount.endswith(":ro")}
    assert writable == {
        "postgres-data", "valkey-data", "logs", "scheduler-spool", "worker-spool", "./var/output", "prometheus-data", "grafana-data",
    }  # fmt: skip


def test_every_variable_is_a_knob_and_its_default_is_the_knobs(text):
    used = [(name, sign, default) for name, sign, default in VARIABLE.findall(text)]
    assert len(used) > 30
    assert {name for name, _, _ in used} <= set(KNOBS)
    wrong = {n: d for n, sign, d in used if sign == ":-" and d != OTHER_DEFAULTS.get(n, KNOBS[n].default)}
    assert wrong == {}
    assert {name for name, sign, _ in used if sign == ":?"} == {"KIT_UID"}
    assert not [name for name, sign, _ in used if sign not in (":-", ":?")]


def test_no_secrets_value_is_ever_interpolated(text):
    assert [name for name, _, _ in VARIABLE.findall(text) if KNOBS[name].secret] == []
    assert not re.search(r"://\w+:[^@/\s]+@", text)


def test_every_secret_of_a_service_is_declared_and_every_declared_one_is_used(text, services):
    declared = yaml.safe_load(text)["secrets"]
    builds = {secret for one in services.values() for secret in one.get("build", {}).get("secrets", ())}
    used = {secret for one in services.values() for secret in one.get("secrets", ())}
    assert used | builds == set(declared)
    assert {one["file"] for one in declared.values()} == {f"secrets/{name}" for name in declared}
    assert builds == {"ca_bundle", "index_url"} and not used & builds


def test_every_airflow_service_reads_the_one_settings_file(services):
    readers = {
        name
        for name, one in services.items()
        if one.get("env_file", [])[:2] == ["config/airflow.env", "config/profiles/${KIT_PROFILE:-balanced}.env"]
    }
    assert readers == {name for name in services if name.startswith("airflow-")}


def test_how_many_instances_there_are_is_no_setting_of_any_service(services):
    """Compose would recreate every container that waits for one whose settings change."""
    numbers = re.compile(r"\$\{(WORKERS|CONTROLLERS)\b")
    every(services, lambda _, service: not numbers.search(str(service.get("environment", ""))))
    for path in Path(__file__).parents[2].glob("config/**/*.env"):
        assert not numbers.search(path.read_text()), path
