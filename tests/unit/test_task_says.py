"""What a task can say of itself: refused where it cannot be meant, nothing outside of a task, masked and passed over where it is too much."""

import json

import pytest

from airflow_celery_kit import task
from airflow_celery_kit.core.journal.events import Source, Subject
from airflow_celery_kit.journal.spool import Spool, lines_of
from airflow_celery_kit.journal.teller import Teller
from airflow_celery_kit.task import context, saying


@pytest.fixture
def said(tmp_path, monkeypatch):
    """Gives the events that were said since it was asked last."""
    spool = Spool(tmp_path, "airflow-worker-1")
    monkeypatch.setattr(context, "teller", lambda source: Teller(source, spool, "airflow-worker-1"))
    monkeypatch.setattr(context, "subject", lambda: Subject("1", "sales", "r1", "load", -1, 2))
    monkeypatch.setattr(saying._Said, "progress", float("-inf"))

    def events():
        found = []
        for path in [spool.take(path) for path in spool.files()]:
            found += [json.loads(line) for lines in lines_of(path, 10) for line in lines]
            path.unlink()
        return found

    return events


def test_progress_is_kept_with_whose_it_is(said):
    task.progress(3, 5, "half way")
    (event,) = said()
    assert event["facts"] == {"done": 3, "total": 5, "note": "half way"}
    assert (event["kind"], event["source"], event["task_id"], event["attempt"], event["worker"]) == (
        "progress", Source.CODE, "load", 2, "airflow-worker-1",
    )  # fmt: skip


def test_progress_that_is_said_all_the_time_is_kept_now_and_then_and_at_the_end(said):
    for number in range(1, 1001):
        task.progress(number, 1000)
    kept = [event["facts"]["done"] for event in said()]
    assert kept[0] == 1 and kept[-1] == 1000 and len(kept) < 10


@pytest.mark.parametrize("wrong", [(-1, 5), (6, 5)])
def test_progress_that_cannot_be_is_refused(said, wrong):
    with pytest.raises(ValueError, match="between 0 and total"):
        task.progress(*wrong)
    assert said() == []


@pytest.mark.parametrize("wrong", [{"a": {1}}, {"a": float("nan")}, {"a": "x" * 70_000}])
def test_a_result_that_is_no_json_or_too_much_is_refused(said, wrong):
    with pytest.raises(ValueError, match="business_result takes"):
        task.business_result(wrong)
    assert said() == []


def test_a_result_may_have_any_names(said):
    task.business_result({"kind": 1, "subject": 2, "self": 3})
    assert said()[0]["facts"] == {"kind": 1, "subject": 2, "self": 3}


def test_what_is_secret_is_masked(said):
    task.business_result({"password": "hush", "rows": 3})
    assert said()[0]["facts"] == {"password": "***", "rows": 3}


def test_outside_of_a_task_nothing_happens(tmp_path, monkeypatch):
    monkeypatch.setattr(context, "teller", lambda source: Teller(source, Spool(tmp_path, "x")))
    task.progress(1, 2)
    task.no_data("nothing new")
    assert list(tmp_path.iterdir()) == []


def test_without_a_journal_nothing_happens(monkeypatch):
    monkeypatch.setattr(context, "teller", lambda source: Teller(source, None))
    task.business_result({"rows": 3})


def test_a_full_disk_is_counted_and_disturbs_nobody(tmp_path, caplog):
    voice = Teller(Source.CODE, Spool(tmp_path / "gone", "x"))
    voice.tell("progress", Subject("1"), {"done": 1})
    assert voice.lost == 1 and "lost an event" in caplog.text
    voice.spool.folder.mkdir()
    voice.tell("progress", Subject("1"), {"done": 2})
    said = [json.loads(line) for line in filter(None, voice.spool.path.read_text().splitlines())]
    assert [(one["kind"], one["facts"]) for one in said] == [("progress", {"done": 2}), ("gap", {"lost": 1})]
    assert voice.lost == 0
