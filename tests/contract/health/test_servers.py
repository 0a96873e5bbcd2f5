"""Runs in: contract tests; PostgreSQL and Valkey as the controller sees them, with real faults."""

import contextlib
import re
import time
from pathlib import Path

import psycopg2
import pytest

from airflow_celery_kit.core.health import State
from airflow_celery_kit.health.controller import Controller
from airflow_celery_kit.health.database import Metadata, Results
from airflow_celery_kit.health.jobs import DagProcessor, Scheduler
from airflow_celery_kit.health.looking import Looker, look
from airflow_celery_kit.health.valkey import Valkey
from tests.contract.health.conftest import state_of
from tests.contract.servers import wait_for
from tests.contract.tables import METADATA

ON_WHEELS_ALONE = True


def test_a_database_that_answers_is_healthy_and_says_what_is_left(found):
    (one,) = found(Metadata()).values()
    assert one.state == State.HEALTHY and "connections in use" in one.why and "GiB of disk free" in one.why
    (other,) = found(Results()).values()
    assert other.state == State.HEALTHY and "disk" not in other.why


def test_a_database_that_lets_nobody_in_is_unhealthy_and_says_why(found, measured):
    measured.query("ALTER DATABASE celery ALLOW_CONNECTIONS false")
    try:
        one = found(Results())["results-database"]
        assert (one.state, one.vital) == (State.UNHEALTHY, True) and "not currently accepting connections" in one.why
        assert found(Metadata())["metadata-database"].state == State.HEALTHY
    finally:
        measured.query("ALTER DATABASE celery ALLOW_CONNECTIONS true")
    assert found(Results())["results-database"].state == State.HEALTHY


def test_connections_that_run_out_are_told_before_and_when_there_are_none(found, measured, monkeypatch):
    most = int(measured.query("SHOW max_connections")[0][0]) - int(
        measured.query("SHOW superuser_reserved_connections")[0][0]
    )
    with contextlib.ExitStack() as opened:
        states = set()
        for _ in range(most):
            try:
                opened.enter_context(contextlib.closing(other_connection(measured)))
            except psycopg2.OperationalError:
                break
            if (used := in_use(measured)) in (int(most * 0.85), int(most * 0.97)):
                states.add((found(Metadata())["metadata-database"].state, used))
        last = found(Metadata())["metadata-database"]
        states.add((last.state, 0))
    assert {state for state, _ in states} == {State.DEGRADED, State.UNHEALTHY}
    assert "slots" in last.why and "max_connections" in last.cure, last


def other_connection(stack):
    """One more of the role `airflow`."""
    settings = stack.settings
    address = {"host": "127.0.0.1", "port": settings["POSTGRES_PORT"], "user": "airflow", "dbname": "airflow"}
    return psycopg2.connect(password=settings["AIRFLOW_DB_PASSWORD"], **address)


def in_use(stack) -> int:
    """How many connections there are, this one left out."""
    return stack.query("SELECT sum(numbackends)::int - 1 FROM pg_stat_database")[0][0]


def test_little_disk_is_told(found, monkeypatch):
    for least, state in ((1 << 60, State.UNHEALTHY), (0, State.DEGRADED)):
        monkeypatch.setattr("airflow_celery_kit.health.database.LITTLE_BYTES", 1 << 60)
        monkeypatch.setattr("airflow_celery_kit.health.database.LEAST_BYTES", least)
        assert found(Metadata())["metadata-database"].state == state


def test_a_frozen_server_is_unhealthy_and_delays_no_other(controller, measured):
    frozen, other = (Looker(check, controller) for check in (Metadata(), Valkey()))
    frozen.check.deadline = 1.0
    measured.freeze("postgres")
    try:
        begun, seen = time.monotonic(), {}
        while len(seen) < 2 and time.monotonic() - begun < 10:
            for looker in (frozen, other):
                if results := looker.step(time.monotonic()):
                    seen.setdefault(looker.check.name, (results[0], time.monotonic() - begun))
            time.sleep(0.02)
    finally:
        measured.thaw("postgres")
    (late, after), (well, soon) = seen["metadata-database"], seen["broker"]
    assert (late.state, late.vital, well.state) == (State.UNHEALTHY, True, State.HEALTHY)
    assert "no answer within 1 s" in late.why and 1 <= after < 3 and soon < 1

    def again() -> bool:
        return any(one.state == State.HEALTHY for one in frozen.step(time.monotonic()) or ())

    wait_for("a look that succeeds", again, 20)


def test_a_broker_that_answers_is_healthy(found):
    (one,) = found(Valkey()).values()
    assert one.state == State.HEALTHY and "of maxmemory" in one.why


def test_a_broker_above_its_mark_is_unhealthy_before_it_refuses(found, nearly_full):
    one = found(Valkey())["broker"]
    assert (one.state, one.vital) == (State.UNHEALTHY, True) and "of maxmemory" in one.why


def test_a_broker_that_is_away_is_unhealthy_and_others_only_cannot_look(controller, monkeypatch, found):
    monkeypatch.setitem(controller, "AIRFLOW__CELERY__BROKER_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("AIRFLOW__CELERY__BROKER_URL", "redis://127.0.0.1:1/0")
    from airflow_celery_kit.health.workers import Workers

    assert (found(Valkey())["broker"].state, found(Valkey())["broker"].vital) == (State.UNHEALTHY, True)
    (workers,) = found(Workers()).values()
    assert workers.state == State.DEGRADED and workers.why.startswith("cannot look") and "refused" in workers.why


def test_before_its_tables_are_made_a_database_is_called_so_and_no_statement_is_shown(controller, monkeypatch, found):
    empty = controller["KIT_METADATA_CONN"].replace("/airflow", "/celery")
    monkeypatch.setitem(controller, "KIT_METADATA_CONN", empty)
    monkeypatch.setenv("KIT_METADATA_CONN", empty)
    from airflow_celery_kit.health.jobs import Scheduler

    (one,) = found(Scheduler()).values()
    assert (one.state, one.why) == (
        State.DEGRADED,
        "the database is not set up yet: airflow-init does that, see 'kit status'",
    )


def test_memory_append_only_file_and_evictions_of_a_broker_are_seen(own):
    check, client = Valkey(), own.client
    assert state_of(check)[0] == "Healthy"
    client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 1.15))
    assert state_of(check)[0] == "Degraded"
    client.config_set("maxmemory", client.info("memory")["used_memory"] - 1000)
    assert state_of(check)[0] == "Unhealthy"
    client.config_set("maxmemory", 0)
    client.config_set("appendonly", "no")
    assert state_of(check) == ("Degraded", "the append-only file is off")
    client.config_set("appendonly", "yes")
    wait_for("its first rewrite", lambda: not client.info("persistence")["aof_rewrite_in_progress"])
    assert state_of(check)[0] == "Healthy"
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("maxmemory", client.info("memory")["used_memory"] + (1 << 20))
    for number in range(400):
        client.set(f"filler{number}", "x" * 10_000)
    state, why = state_of(check)
    assert state == "Unhealthy" and "keys evicted in the last" in why


def test_a_broker_that_refuses_the_login_or_any_connection_is_not_called_away(own, monkeypatch, tmp_path):
    client = own.client
    client.ping()
    client.config_set("maxclients", 1)
    (one,) = look(Valkey(), {})
    client.config_set("maxclients", 1000)
    assert (one.state, one.vital) == (State.UNHEALTHY, True) and "maxclients" in one.cure, one
    (tmp_path / "password").write_text("not-the-password")
    monkeypatch.setenv("KIT_BROKER_PASSWORD_FILE", str(tmp_path / "password"))
    (one,) = look(Valkey(), {})
    assert (one.state, one.vital) == (State.UNHEALTHY, True) and "'kit init'" in one.cure, one
    assert "not-the-password" not in one.why


def test_a_broker_that_refuses_writes_because_of_its_disk_is_told_as_that(own):
    client = own.client
    folder, before = Path(client.config_get("dir")["dir"]), client.config_get("save")["save"]
    client.config_set("save", "900 1")
    # A snapshot cannot take the place of a folder.
    (folder / client.config_get("dbfilename")["dbfilename"]).mkdir()
    try:
        client.bgsave()
        wait_for("a snapshot that fails", lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
        (one,) = look(Valkey(), {})
        assert (one.state, one.vital) == (State.UNHEALTHY, True) and "disk" in one.cure and "MISCONF" in one.why
    finally:
        (folder / client.config_get("dbfilename")["dbfilename"]).rmdir()
        client.config_set("save", before)
        client.bgsave()
        wait_for("a snapshot", lambda: client.info("persistence")["rdb_last_bgsave_status"] == "ok")
    assert state_of(Valkey())[0] == "Healthy"


@pytest.mark.parametrize(("age", "state"), [(5, State.HEALTHY), (31, State.UNHEALTHY)])
def test_a_heartbeat_is_as_good_as_it_is_young(found, measured, age, state):
    heart(measured, "SchedulerJob", "scheduler-1", age)
    one = found(Scheduler())["scheduler"]
    assert (one.state, one.vital) == (state, state == State.UNHEALTHY) and f"{age} s ago" in one.why


def test_one_of_two_that_is_silent_is_degraded_and_what_ended_as_told_is_nothing(found, measured):
    heart(measured, "DagProcessorJob", "one", 3)
    heart(measured, "DagProcessorJob", "two", 60)
    heart(measured, "DagProcessorJob", "three", 60, state="success")
    said = {subject: one.state for subject, one in found(DagProcessor()).items()}
    assert said == {"dag-processor": State.HEALTHY, "two": State.DEGRADED}


def test_without_any_heartbeat_nothing_runs(found):
    one = found(Scheduler())["scheduler"]
    assert (one.state, one.why) == (State.UNHEALTHY, "none runs")


def heart(stack, kind: str, host: str, age: float, state: str = "running") -> None:
    """Leave a heartbeat."""
    put = (
        "INSERT INTO job (job_type, hostname, state, latest_heartbeat) VALUES (%s, %s, %s, now() - %s * interval '1 s')"
    )
    stack.query(put, kind, host, state, age, **METADATA)


def test_a_lease_that_nobody_holds_and_a_look_that_is_old_are_told(found, measured):
    measured.query(
        "UPDATE kit.lease SET holder = 'c', expires_at = now() + interval '60 s' WHERE name = 'repair'", **METADATA
    )
    assert found(Controller())["controller"].state == State.HEALTHY
    measured.query("UPDATE kit.lease SET expires_at = now() - interval '20 s' WHERE name = 'repair'", **METADATA)
    assert found(Controller())["controller"].state == State.UNHEALTHY
    measured.query("INSERT INTO kit.seen VALUES ('queues', now() - interval '40 s', '{}')", **METADATA)
    one = found(Controller())["controller"]
    assert one.state == State.DEGRADED and re.search(r"\b4\d s old", one.why)
