"""Metrics of a task's own: added up where it runs, said once a second and at its end, and what cannot be counted is one warning."""

import json
import os
from decimal import Decimal

import numpy as np
import pytest

from airflow_celery_kit import task
from airflow_celery_kit.core.journal.events import Source, Subject
from airflow_celery_kit.core.user_metrics import BOUNDS, bucket
from airflow_celery_kit.journal.spool import Spool, lines_of
from airflow_celery_kit.journal.teller import Teller
from airflow_celery_kit.task import context, measuring
from airflow_celery_kit.worker import listener


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands until it is set."""
    now = [100.0]
    monkeypatch.setattr(measuring.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def said(tmp_path, monkeypatch, clock):
    """Gives what was said since it was asked last, an event's figures each."""
    spool = Spool(tmp_path, "airflow-worker-1")
    monkeypatch.setattr(context, "teller", lambda source: Teller(source, spool, "airflow-worker-1"))
    monkeypatch.setattr(context, "subject", lambda: Subject("1", "sales", "r1", "load", -1, 2))
    monkeypatch.setattr(measuring._Pending, "process", 0)
    monkeypatch.setattr(measuring._Pending, "warned", set())

    def events():
        found = []
        for path in [spool.take(path) for path in spool.files()]:
            found += [json.loads(line) for lines in lines_of(path, 10) for line in lines]
            path.unlink()
        assert all((one["kind"], one["source"], one["task_id"]) == ("metric", Source.CODE, "load") for one in found)
        return [one["facts"]["series"] for one in found]

    yield events
    measuring.flush()


def figure(name, value, kind="counter", **labels):
    """One figure of an event."""
    return {"name": name, "kind": kind, "labels": labels, "value": value}


def test_the_first_figure_goes_at_once_and_what_follows_within_a_second_goes_together(said, clock):
    task.metric("rows", 3, table="a")
    assert said() == [[figure("rows", 3, table="a")]]
    for _ in range(10_000):
        task.metric("rows", 2, table="a")
        task.metric("rows_total", table="b")
        task.metric("depth", 7, "gauge")
    task.metric("depth", 5, "gauge")
    assert said() == []
    clock[0] += 1
    task.metric("depth", 4, "gauge")
    assert said() == [
        [figure("rows", 20_000, table="a"), figure("rows", 10_000, table="b"), figure("depth", 4, "gauge")]
    ]


def test_the_last_of_it_goes_at_the_task_s_end_when_airflow_no_longer_says_which_one_it_is(said, monkeypatch):
    task.metric("rows")
    task.metric("rows", 4)
    said()
    monkeypatch.setattr(context, "subject", lambda: None)
    listener.before_stopping(None)
    assert said() == [[figure("rows", 4)]]
    listener.before_stopping(None)
    assert said() == []


def test_values_are_sorted_into_buckets(said, clock):
    task.metric("first")
    said()
    for value in (0.05, 0.1, 0.2, 3600, 20_000):
        task.metric("wait", value, "histogram")
    clock[0] += 1
    task.metric("wait", 0, "histogram")
    ((one,),) = said()
    assert one["buckets"] == [3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1] and one["value"] == pytest.approx(23600.35)
    assert [bucket(bound) for bound in BOUNDS] == list(range(len(BOUNDS)))


def test_many_series_do_not_wait_for_a_second(said):
    task.metric("first")
    said()
    for number in range(250):
        task.metric("rows", part=number)
    assert [len(one) for one in said()] == [100, 100]


WRONG = [
    (("1rows",), {}, "begins with a letter"),
    (("rows read",), {}, "letters, digits and underscores"),
    (("räder",), {}, "letters, digits and underscores"),
    ((None,), {}, "a name has letters"),
    (("r" * 101,), {}, "100 characters"),
    (("rows", 1, "summary"), {}, "one of counter, gauge, histogram"),
    (("rows", 1, ["gauge"]), {}, "one of counter, gauge, histogram"),
    (("rows_total", 1, "gauge"), {}, "does not end with _total"),
    (("rows_bucket",), {}, "does not end with _bucket"),
    (("rows", -1), {}, "only grows"),
    (("rows", float("nan")), {}, "no number"),
    (("rows", "7"), {}, "no number"),
    (("rows", Decimal(1)), {}, "no number"),
    (("rows", 10**400), {}, "no number"),
    (("rows",), {"le": 1}, "no label may be called 'le'"),
    (("rows",), {"dag_id": 1}, "no label may be called 'dag_id'"),
    (("rows",), {"__x": 1}, "no label may be called '__x'"),
    (("rows",), {"a-b": 1}, "no label may be called 'a-b'"),
    (("rows",), {f"l{number}": 1 for number in range(9)}, "9 labels"),
    (("rows",), {"x": "y" * 101}, "100 characters at most"),
    (("rows",), {"x": "a\0b"}, "printable"),
    (("rows",), {"x": "\ud800"}, "printable"),
]


@pytest.mark.parametrize(("given", "labels", "words"), WRONG)
def test_what_cannot_be_counted_is_one_warning_and_costs_nothing_else(said, clock, caplog, given, labels, words):
    task.metric("first")
    for _ in range(5):
        task.metric(*given, **labels)
    clock[0] += 1
    task.metric("rows")
    assert said() == [[figure("first", 1)], [figure("rows", 1)]]
    (warning,) = caplog.records
    assert warning.levelname == "WARNING" and words in warning.message and "is not counted" in warning.message


def test_numbers_of_numpy_are_counted(said):
    task.metric("rows", np.int64(3))
    assert said() == [[figure("rows", 3)]]
    task.metric("rows", np.float32(0.5))
    measuring.flush()
    assert said() == [[figure("rows", 0.5)]]


def test_warnings_have_an_end(said, caplog):
    for number in range(1000):
        task.metric(f"{number} rows")
    assert len(caplog.records) == measuring.MOST_WARNINGS


def test_a_forked_process_says_what_it_counted_itself(said, tmp_path):
    task.metric("rows")
    task.metric("rows", 4)
    if (child := os.fork()) == 0:
        task.metric("rows", 10)
        os._exit(0)
    os.waitpid(child, 0)
    measuring.flush()
    assert said() == [[figure("rows", 1)], [figure("rows", 10)], [figure("rows", 4)]]


def test_what_is_secret_is_masked(said):
    task.metric("rows", password="hush", table="a")
    assert said() == [[figure("rows", 1, password="***", table="a")]]


def test_outside_of_a_task_and_without_a_journal_nothing_happens(tmp_path, monkeypatch, clock):
    monkeypatch.setattr(measuring._Pending, "process", 0)
    monkeypatch.setattr(context, "teller", lambda source: Teller(source, Spool(tmp_path, "x")))
    task.metric("rows")
    monkeypatch.setattr(context, "teller", lambda source: Teller(source, None))
    monkeypatch.setattr(context, "subject", lambda: Subject("1"))
    clock[0] += 2
    task.metric("rows")
    assert list(tmp_path.iterdir()) == []


def test_airflow_calls_it_at_the_end_of_a_task_s_process(said):
    """By the manager that Airflow's task runner asks, which has loaded the kit's plugin."""
    from airflow.sdk.execution_time.task_runner import TaskRunnerMarker
    from airflow.sdk.listener import get_listener_manager

    task.metric("rows")
    task.metric("rows", 4)
    said()
    get_listener_manager().hook.before_stopping(component=TaskRunnerMarker())
    assert said() == [[figure("rows", 4)]]


def test_what_a_task_refuses_reaches_no_counter_whose_help_says_so(said):
    from airflow_celery_kit.api.metrics.tasks import FAMILIES

    task.metric("no name", 3)
    measuring.flush()
    assert said() == [] and "keeps back what it refuses" in FAMILIES["kit_metrics_dropped_total"].help
