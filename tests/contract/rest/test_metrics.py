"""What Prometheus reads of a real api-server: in its own format, every metric that is documented and no other."""

import contextlib
import json
import os
import shutil
import subprocess
import time

import httpx
import psycopg2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from airflow_celery_kit.api.metrics import FAMILIES
from airflow_celery_kit.controller import counting
from airflow_celery_kit.core.health import State, Verdict
from airflow_celery_kit.core.journal.events import Event, Kind, Source, Subject
from airflow_celery_kit.journal.sink import Sink
from tests.contract.servers import REPOSITORY, free_ports, wait_for


def missing(program: str) -> None:
    """Leave a test out where a program is not there; CI must have it."""
    if not shutil.which(program):
        if os.environ.get("CI"):
            pytest.fail(f"CI needs {program}: scripts/install_promtool.py")
        pytest.skip(f"no {program} here: 'python3 scripts/install_promtool.py' installs it")


@pytest.fixture
def counted(server, seen):
    """A look, a run that has ended, and everything counted up."""
    seen(memory_bytes=123_456_789)
    run = server.start()
    server.query("UPDATE task_instance SET state = 'success' WHERE run_id = %s", run)
    server.query("UPDATE dag_run SET state = 'success' WHERE run_id = %s", run)
    server.carry()
    connection = psycopg2.connect(server.stack.address("kit", "kit"))
    counting.count_up(connection, 50, settle=0)
    connection.close()
    return server


def test_every_metric_is_there_with_its_kind_and_its_labels(counted):
    families = {
        one.name: one for one in text_string_to_metric_families(counted.kit("/metrics").raise_for_status().text)
    }
    assert {name: one.type for name, one in families.items()} == {
        name.removesuffix("_total"): one.kind for name, one in FAMILIES.items()
    }  # fmt: skip
    for name, family in FAMILIES.items():
        labels = {tuple(sorted(set(one.labels) - {"le"})) for one in families[name.removesuffix("_total")].samples}
        assert labels <= {tuple(sorted(family.labels))}, name


def test_what_a_task_counts_itself_is_in_it(counted):
    run = counted.start()
    task = counted.kit("/tasks", params={"run_id": run}).json()["tasks"][0]
    series = [
        {"name": "rows", "kind": "counter", "labels": {"table": 'a"b'}, "value": 5},
        {"name": "1", "kind": "gauge", "labels": {}, "value": 1},
    ]
    subject = Subject(task=task["id"], dag_id="sales", run_id=run, task_id=task["task_id"])
    sink = Sink(counted.stack.address("journal_writer", "kit"))
    sink.write([Event(Kind.METRIC, Source.CODE, time.time(), subject, "w", {"series": series}).line()], pytest.fail)
    sink.drop()
    connection = psycopg2.connect(counted.stack.address("kit", "kit"))
    counting.count_up(connection, 50, settle=0)
    connection.close()
    lines = counted.kit("/metrics").text.splitlines()
    assert (
        'kit_user_rows_total{dag_id="sales",table="a\\"b"} 5.0' in lines
        and "# TYPE kit_user_rows_total counter" in lines
    )
    assert 'kit_metrics_dropped_total{cause="invalid"} 1.0' in lines


def test_what_happened_is_in_it(counted):
    text = counted.kit("/metrics").text
    assert 'kit_tasks_ended_total{dag_id="sales",queue="default",status="SUCCESS"}' in text
    assert 'kit_runs_ended_total{dag_id="sales",state="success"}' in text
    assert 'kit_worker_memory_bytes{worker="airflow-worker-1"} 1.23456789e+08' in text
    assert "kit_journal_up 1.0" in text and "kit_journal_waiting_events 0.0" in text


def test_what_guards_hold_and_how_well_everything_is_is_in_it(counted, guards, judged):
    judged(
        *(Verdict("workers", f"w{state.rank}", state, 0, "") for state in (State.HEALTHY, State.UNHEALTHY)),
        Verdict("clock", "w0", State.DEGRADED, 0, "", vital=True),
        canary_seconds={"default": 0.25},
    )
    run, body = guards.start(), {"reason": "the CRM moves"}
    query = "UPDATE task_instance SET state = 'scheduled' WHERE run_id = %s AND task_id = 'extract'"
    guards.query(query, run)
    first = guards.kit("/metrics").text.splitlines()
    for path in ("/limits/crm-db/suspend", "/breakers/crm/trip", "/breakers/crm/reset", "/breakers/crm/trip"):
        guards.kit(path, "POST", json=body).raise_for_status()
    second = guards.kit("/metrics").text.splitlines()
    guards.kit("/limits/crm-db/resume", "POST", json=body).raise_for_status()
    guards.query(query, run)
    third = guards.kit("/metrics").text.splitlines()
    limit, breaker = 'kit_limit_{}{{limit="crm-db"}} {}', 'kit_breaker_{}{{breaker="crm"}} {}'
    closed, opened = (f'kit_breaker_state{{breaker="crm",state="{state}"}} ' for state in ("closed", "open"))
    for text, expected in (
        (first, (limit.format("slots", "2.0"), limit.format("taken_tasks", "1.0"), breaker.format("trips_total", "0.0"), f"{closed}1.0")),
        (second, (limit.format("suspended", "1.0"), limit.format("waiting_tasks", "1.0"), breaker.format("trips_total", "2.0"), f"{opened}1.0")),
        (third, (limit.format("waiting_tasks", "0.0"), breaker.format("waiting_tasks", "1.0"), f"{closed}0.0")),
        (third, ('kit_health_state{check="workers"} 3.0', 'kit_health_state{check="clock"} 1.0', "kit_health_ready 1.0")),
        (third, ('kit_canary_seconds{queue="default"} 0.25',)),
    ):  # fmt: skip
        assert set(expected) <= set(text), set(expected) - set(text)


def test_two_scrapes_without_news_say_the_same(counted):
    changing = ("kit_queues_seen", "kit_journal_waiting_oldest")
    first, second = (
        [line for line in counted.kit("/metrics").text.splitlines() if not line.startswith(changing)] for _ in range(2)
    )
    assert first == second


def test_the_token_opens_the_metrics_and_nothing_else(counted):
    url = f"{counted.api.base_url}/kit/v1"
    token = (counted.stack.settings.secrets / "metrics_token").read_text().strip()

    def ask(path, method="GET", **headers):
        return httpx.request(method, f"{url}{path}", headers=headers, trust_env=False)

    refused = (401, 403)
    scrape = ask("/metrics", Authorization=f"Bearer {token}")
    assert scrape.status_code == 200 and "kit_journal_up 1.0" in scrape.text
    assert scrape.headers["content-type"] == counted.kit("/metrics").headers["content-type"]
    for wrong in (token[:-1], f"{token}x", "x"):
        assert ask("/metrics", Authorization=f"Bearer {wrong}").status_code in refused
    assert ask("/metrics").status_code in refused
    assert ask(f"/metrics?token={token}").status_code in refused
    for path in ("/queues", "/tasks", "/openapi.json", "/metrics/", "//metrics"):
        answer = ask(path, Authorization=f"Bearer {token}")
        assert answer.status_code in (*refused, 404) and "kit_" not in answer.text, path
    assert ask("/metrics", "POST", Authorization=f"Bearer {token}").status_code in (*refused, 405)
    other = httpx.get(
        f"{counted.api.base_url}/api/v2/dags", headers={"Authorization": f"Bearer {token}"}, trust_env=False
    )
    assert other.status_code in refused


def test_prometheus_own_linter_has_nothing_to_say(counted):
    missing("promtool")
    ended = subprocess.run(
        ["promtool", "check", "metrics"],
        input=counted.kit("/metrics").text,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")


@pytest.fixture
def prometheus(counted, tmp_path):
    """A real Prometheus with the kit's configuration, changed as the guide says; gives what it answers."""
    missing("prometheus")
    secrets, config = counted.stack.settings.secrets, REPOSITORY / "config" / "prometheus"
    port, (own,) = counted.stack.settings["AIRFLOW_PORT"], free_ports(1)
    (tmp_path / "alerts.yml").write_text((config / "alerts.yml").read_text())
    text = (config / "prometheus.yml").read_text().replace("/run/secrets", str(secrets))
    text = text.replace("airflow-apiserver:8080", f"127.0.0.1:{port}").replace("15s", "1s")
    (tmp_path / "prometheus.yml").write_text(text)
    command = [
        "prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data", f"--web.listen-address=127.0.0.1:{own}"
    ]  # fmt: skip
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    client = httpx.Client(base_url=f"http://127.0.0.1:{own}/api/v1", trust_env=False)
    try:
        yield lambda path, **asked: client.get(path, params=asked).raise_for_status().json()["data"]
    finally:
        process.terminate()
        process.wait(30)
        print((tmp_path / "log").read_text()[-3000:])


def test_a_real_prometheus_reads_it_with_the_token_and_loads_every_alert(prometheus):
    def scraped() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return bool(prometheus("/query", query="kit_worker_up")["result"])
        return False

    wait_for("a scrape", scraped)
    (target,) = prometheus("/targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    (group,) = prometheus("/rules")["groups"]
    assert len(group["rules"]) > 10 and {one["health"] for one in group["rules"]} <= {"ok", "unknown"}
    for path in (REPOSITORY / "config" / "grafana" / "dashboards").glob("*.json"):
        for panel in json.loads(path.read_text())["panels"]:
            asked = panel["targets"][0]["expr"].replace("$__rate_interval", "1m").replace("$dag", ".*")
            prometheus("/query", query=asked)


def test_a_journal_that_is_away_takes_its_own_metrics_with_it_alone(counted):
    counted.query("ALTER ROLE journal_reader NOLOGIN")
    counted.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'journal_reader'")
    try:
        text = counted.kit("/metrics").raise_for_status().text
    finally:
        counted.query("ALTER ROLE journal_reader LOGIN")
    assert "kit_journal_up 0.0" in text and "kit_tasks_ended_total{" not in text
    assert 'kit_worker_up{worker="airflow-worker-1"} 1.0' in text


def test_a_journal_of_an_older_version_takes_no_other_metric_with_it(counted):
    counted.query("ALTER TABLE journal.counter RENAME TO gone", database="kit")
    try:
        text = counted.kit("/metrics").raise_for_status().text
    finally:
        counted.query("ALTER TABLE journal.gone RENAME TO counter", database="kit")
    assert "kit_journal_up 0.0" in text and 'kit_worker_up{worker="airflow-worker-1"} 1.0' in text
