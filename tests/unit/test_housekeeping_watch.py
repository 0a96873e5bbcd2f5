"""When the triggerer begins a round, how a round counts, and the file that is read again."""

import json
import logging
import os
import subprocess
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from airflow_celery_kit.api.metrics import housekeeping
from airflow_celery_kit.api.metrics.families import lines
from airflow_celery_kit.core.housekeeping import Limits
from airflow_celery_kit.housekeeping import Watched
from airflow_celery_kit.journal.forwarder import SpoolSupply
from airflow_celery_kit.journal.sink import Sink
from airflow_celery_kit.journal.spool import Spool
from airflow_celery_kit.rounds import Round
from airflow_celery_kit.triggerer import housekeeping as airflow_part
from airflow_celery_kit.triggerer import watch

ASKED = {"asked_at": 100.0, "limits": {"disk": "80%"}}
DONE = {"begun_at": 101.0, "ended_at": 110.0, "complete": True}


@pytest.mark.parametrize(
    ("facts", "now", "used", "why"),
    [
        ({}, 1e9, 0.99, ""),
        (ASKED, 100, 0.1, "asked"),
        (ASKED | {"airflow": DONE}, 1e4, 0.1, ""),
        (ASKED | {"asked_at": 200.0, "airflow": DONE}, 200, 0.1, "asked"),
        (ASKED | {"airflow": DONE | {"complete": False}}, 150, 0.1, ""),
        (ASKED | {"airflow": DONE | {"complete": False}}, 171, 0.1, "not complete"),
        (ASKED | {"airflow": DONE | {"complete": False, "ended_at": None}}, 690, 0.1, ""),
        (ASKED | {"airflow": DONE | {"complete": False, "ended_at": None}}, 702, 0.1, "not complete"),
        (ASKED | {"airflow": DONE | {"complete": False, "begun_at": 120.0}}, 700, 0.1, ""),
        (ASKED | {"airflow": DONE | {"complete": False, "begun_at": 120.0}}, 721, 0.1, "not complete"),
        (ASKED | {"airflow": DONE}, 690, 0.81, ""),
        (ASKED | {"airflow": DONE}, 702, 0.81, "disk"),
        (ASKED | {"airflow": DONE}, 702, 0.79, ""),
    ],
)
def test_when_a_round_begins(facts, now, used, why):
    assert watch.due(facts, now, used) == why


def figures(facts):
    """What the metrics say of the row, by name and labels."""
    return {(one.name, *one.labels): one.value for one in housekeeping.of(facts)}


def test_while_a_round_is_under_way_what_the_last_one_said_stays_and_none_begins(monkeypatch):
    written = []
    last = DONE | {"errors": ["x"], "totals": {}}
    monkeypatch.setattr(airflow_part, "opened", lambda _: nullcontext())
    monkeypatch.setattr(airflow_part.rounds, "read", lambda _: ASKED | {"airflow": last})
    monkeypatch.setattr(airflow_part, "sweep_logs", lambda *_: {})
    monkeypatch.setattr(airflow_part, "sweep_tables", lambda _: None)
    monkeypatch.setattr(airflow_part, "write", lambda _, facts: written.append(ASKED | {"airflow": facts}))
    airflow_part.once(None, dry=False)
    under_way, ended = written
    assert figures(under_way) == figures(ASKED | {"airflow": last})
    assert figures(ended)["kit_housekeeping_errors", "airflow"] == 0
    begun = under_way["airflow"]["begun_at"]
    assert [watch.due(under_way, begun + seconds, 0.1) for seconds in (61, 601)] == ["", "not complete"]


def test_metrics_say_how_long_it_is_between_rounds_and_which_part_never_ended_one():
    found = figures({"asked_at": 1.0, "limits": {"every": "30m"}, "controller": DONE | {"errors": []}})
    assert found["kit_housekeeping_interval_seconds",] == 1800
    assert found["kit_housekeeping_round_timestamp_seconds", "airflow"] == 0
    assert found["kit_housekeeping_round_timestamp_seconds", "controller"] == 110
    assert ("kit_housekeeping_errors", "airflow") not in found
    assert figures({"asked_at": 1.0})["kit_housekeeping_interval_seconds",] == 3600


class Database:
    """A connection whose one row says that a round is asked for."""

    __enter__ = lambda self: self  # noqa: E731
    __exit__ = lambda self, *_: None  # noqa: E731
    close = lambda self: None  # noqa: E731
    cursor = lambda self: self  # noqa: E731
    execute = lambda self, *_: None  # noqa: E731
    fetchone = lambda self: (ASKED,)  # noqa: E731


def test_what_goes_wrong_is_said_once_and_a_full_disk_too(tmp_path: Path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    one = watch.Watch(tmp_path, Database)
    answers = iter(["", "", json.dumps({"rows": [{"what": "log", "removed": 3}], "errors": []})])

    def run(*_, **__):
        said = next(answers)
        return SimpleNamespace(returncode=0 if said else 1, stdout=said, stderr="" if said else "x\nno database")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(watch, "share_used", lambda _: 0.93)
    for _ in range(3):
        one.look()
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "the disk with the logs is 93 % full, more than 80%: logs go sooner", "housekeeping cannot be done: no database",
        "housekeeping removed {'log': 3}, without errors",
    ]  # fmt: skip


def test_a_round_counts_what_it_removes_stops_when_its_time_is_up_and_adds_up():
    batches = iter([(2, 20), (1, 10), (0, 0)])
    found = Round(Limits(), False, 60, 0)
    found.remove(found.found("log", "audit", 3, 30, 9.4), lambda: next(batches))
    facts = found.facts({"totals": {"log": {"rows": 5, "bytes": 50}, "job": {"rows": 1, "bytes": 1}}})
    assert facts["complete"] and facts["totals"] == {"log": {"rows": 8, "bytes": 80}, "job": {"rows": 1, "bytes": 1}}
    assert facts["rows"][0]["removed"] == 3 and facts["rows"][0]["oldest_seconds"] == 9
    late = Round(Limits(), False, 0, 0)
    late.remove(late.found("log", "audit", 3, 30, 9), lambda: pytest.fail("the time was up"))
    assert not late.facts({})["complete"]
    dry = Round(Limits(), True, 60, 0)
    dry.remove(dry.found("log", "audit", 3, 30, 9), lambda: pytest.fail("nothing was to change"))
    assert dry.facts({})["rows"][0]["removed"] == 0


def test_the_file_is_read_again_and_a_wrong_one_leaves_the_old_one_in_force(tmp_path: Path):
    path = tmp_path / "housekeeping.yaml"
    file = Watched(path)
    assert file.read() and file.limits == Limits() and not file.read()
    path.write_text("runs: 7d\n")
    assert file.read() and file.limits.words == {"runs": "7d"}
    path.write_text("runs: seven days\n")
    assert file.read() and file.limits.words == {"runs": "7d"}
    assert file.problem == f"{path}, line 1: runs: 'seven days' is no age: write 30m, 12h, 90d or never"
    path.unlink()
    assert file.read() and file.limits == Limits() and not file.problem
    path.write_bytes(b"\xff\xfe\x00")
    fresh = Watched(path)
    assert fresh.read() and fresh.limits is None and "is not a text file" in fresh.problem


def test_what_the_journal_refused_goes_when_it_is_old_and_stays_while_the_limits_are_wrong(tmp_path: Path, monkeypatch):
    limits = tmp_path / "housekeeping.yaml"
    monkeypatch.setenv("KIT_HOUSEKEEPING_FILE", str(limits))
    refused = tmp_path / "refused.jsonl"

    def carry(text: str, days: float) -> bool:
        limits.write_text(text)
        refused.write_text("{}\n")
        os.utime(refused, (time.time() - days * 86400,) * 2)
        SpoolSupply(Spool(tmp_path, "here")).carry(Sink("nowhere"))
        return refused.exists()

    assert [carry("", 29), carry("", 31), carry("spool: 40d", 31), carry("spool: x", 31)] == [True, False, True, True]


def test_metrics_say_what_was_removed_and_when_and_nothing_where_no_round_was():
    facts = {
        "controller": DONE | {"errors": [], "totals": {"celery_taskmeta": {"rows": 7, "bytes": 700}}},
        "airflow": DONE | {"errors": ["x"], "totals": {}, "disk": {"used": 0.5}},
    }
    text = "".join(lines(housekeeping.FAMILIES, housekeeping.of(facts)))
    for line in (
        'kit_housekeeping_removed_total{what="celery_taskmeta"} 7.0',
        'kit_housekeeping_removed_bytes_total{what="celery_taskmeta"} 700.0',
        'kit_housekeeping_errors{part="airflow"} 1.0',
        'kit_housekeeping_round_timestamp_seconds{part="controller"} 110.0',
        "kit_housekeeping_disk_used_ratio 0.5",
    ):
        assert f"\n{line}\n" in text
    empty = "".join(lines(housekeeping.FAMILIES, housekeeping.of({}))).splitlines()
    assert all(line.startswith("#") for line in empty)
