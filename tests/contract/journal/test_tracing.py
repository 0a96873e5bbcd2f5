"""Ended attempts are told to a collector, as the controller's role, each once; what the collector does not take waits."""

import json

import psycopg2
import pytest

from airflow_celery_kit.controller import counting, tracing
from tests.contract.journal.test_counting import whole
from tests.contract.tables import METADATA
from tests.otlp import collecting

ON_WHEELS_ALONE = True
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CARRIER = json.dumps({"traceparent": f"00-{TRACE}-{SPAN}-01"})
HOPS = [
    "until it was due",
    "waiting in Airflow",
    "on its way to the broker",
    "waiting in the broker",
    "starting",
    "running",
]
MAKE = "INSERT INTO task_instance (id, context_carrier) VALUES (%s, %s)"


@pytest.fixture
def collector(monkeypatch):
    """A collector whose address is in the environment, as a service has it."""
    with collecting() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.endpoint)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "airflow")
        monkeypatch.setenv("KIT_INSTANCE", "airflow-controller-1")
        yield found


@pytest.fixture
def traced(journal, ready, collector):
    """Counts up and tells, as the controller does."""
    kit, metadata = psycopg2.connect(journal.address("kit")), psycopg2.connect(journal.address("kit", "airflow"))
    said = []
    told = tracing.Tracing(tracing.exporter, lambda event, **facts: said.append((event, facts)))

    def look(now: float = 0.0) -> int:
        counting.count_up(kit, 50, trace=True, settle=0)
        return told.look(metadata, kit, now)

    look.said = said
    yield look
    kit.close()
    metadata.close()
    ready.query("DELETE FROM task_instance", **METADATA)


def test_every_hop_is_told_once_in_the_trace_of_the_task(journal, ready, life, collector, traced):
    one, unsampled, gone = life(), life(), life()
    ready.query(MAKE, one.id, CARRIER, **METADATA)
    ready.query(MAKE, unsampled.id, CARRIER.replace("-01", "-00"), **METADATA)
    journal.write(*whole(one), *whole(unsampled), *whole(gone))
    assert (traced(), traced(10)) == (1, 0)
    assert [span["name"] for span in collector.spans] == HOPS
    assert {(span["trace"], span["parent"], span["service"], span["instance"], span["scope"]) for span in collector.spans} == {
        (TRACE, SPAN, "airflow", "airflow-controller-1", "airflow_celery_kit")
    }  # fmt: skip
    assert collector.spans[0]["attributes"]["airflow.task_instance.id"] == one.id
    assert journal.query("SELECT count(*) FROM journal.untraced") == [(0,)]


def test_what_another_attempt_follows_is_in_the_history(journal, ready, life, collector, traced):
    one = life()
    ready.query(
        "INSERT INTO task_instance_history (task_instance_id, context_carrier) VALUES (%s, %s)",
        one.id,
        CARRIER,
        **METADATA,
    )
    journal.write(*one.airflow("asked", "scheduled", "queued", "running", "up_for_retry", "replaced"))
    assert traced() == 1
    assert (collector.spans[-1]["name"], collector.spans[-1]["status"]) == ("running", 2)


def test_what_the_collector_does_not_take_waits_and_is_told_when_it_does(journal, ready, life, collector, traced):
    one = life()
    ready.query(MAKE, one.id, CARRIER, **METADATA)
    journal.write(*whole(one))
    journal.query("UPDATE journal.task SET completed_at = now()")
    collector.takes = False
    assert (traced(0), collector.spans) == (0, [])
    assert traced.said[0][0] == "traces_wait"
    collector.takes = True
    assert traced(30) == 0, "it is asked again after a minute"
    assert traced(61) == 1 and len(collector.spans) == len(HOPS)


def test_what_nobody_took_for_a_day_is_let_go(journal, ready, life, collector, traced):
    one = life()
    ready.query(MAKE, one.id, CARRIER, **METADATA)
    journal.write(*whole(one))
    journal.query("UPDATE journal.task SET completed_at = now() - interval '25 hours'")
    collector.takes = False
    traced()
    assert journal.query("SELECT count(*) FROM journal.untraced") == [(0,)]


def test_without_tracing_nothing_is_kept_for_it(journal, life):
    journal.write(*whole(life()))
    connection = psycopg2.connect(journal.address("kit"))
    counting.count_up(connection, 50, settle=0)
    connection.close()
    assert journal.query("SELECT count(*) FROM journal.untraced") == [(0,)]
