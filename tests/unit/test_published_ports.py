"""A port that somebody else has is named before containers are started, also those of a profile; addresses of the page are escaped."""

import re
import socket
from pathlib import Path

import pytest
import yaml

from airflow_celery_kit.errors import MachineError
from airflow_celery_kit.runtimes import compose
from airflow_celery_kit.settings import Settings

ROOT = Path(__file__).parents[2]
PROFILES = [
    ("PROMETHEUS_PORT", "heavy,observability", True), ("PROMETHEUS_PORT", "prometheus", True), ("PROMETHEUS_PORT", "", False),
    ("GRAFANA_PORT", "observability", True), ("GRAFANA_PORT", "prometheus", False), ("AIRFLOW_PORT", "", True),
]  # fmt: skip


@pytest.mark.parametrize(("knob", "profiles", "refused"), PROFILES)
def test_a_taken_port_is_refused_where_its_service_starts(settings, monkeypatch, knob, profiles, refused):
    monkeypatch.setattr(compose.Compose, "instances", lambda self, names=(): [])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        others = dict.fromkeys((*compose.PUBLISHED, *compose.OF_PROFILES), str(free()))
        port = str(taken.getsockname()[1])
        chosen = {**settings.values, **others, knob: port, "COMPOSE_PROFILES": profiles, "BIND_ADDRESS": "127.0.0.1"}
        stack = compose.Compose(Settings(settings.root, chosen))
        if not refused:
            return stack._refuse_taken_ports()
        with pytest.raises(MachineError, match=f"port {port} is taken: .* another {knob} into .env"):
            stack._refuse_taken_ports()


def free() -> int:
    """A port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def test_every_published_port_is_looked_at_in_its_profiles():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    found = {
        re.search(r"\w+", one["published"].strip("${"))[0]: (name, set(service.get("profiles", ())), one["host_ip"])
        for name, service in services.items()
        for one in service.get("ports", ())
    }
    told = {knob: (name, set(), "${BIND_ADDRESS:-127.0.0.1}") for knob, name in compose.PUBLISHED.items()}
    told |= {knob: (name, some, compose.LOOPBACK) for knob, (name, some) in compose.OF_PROFILES.items()}
    assert found == told


def test_the_page_escapes_what_it_puts_into_an_address():
    page = (ROOT / "src/airflow_celery_kit/api/console/task.js").read_text()
    assert "/tasks/${id}" not in page and "${task.id}" not in page and "/dags/${task." not in page
    assert page.count("/tasks/${encodeURIComponent(") == 2
