"""Unit tests of what the kit does in an Airflow of somebody's own: nothing that was not asked for."""

import sys
import types

import pytest

from airflow_celery_kit import addresses, stack
from airflow_celery_kit.journal import teller
from airflow_celery_kit.scheduler import listener, record

OPTIONS = "AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS"
KITS = "airflow_celery_kit.worker.celery_settings.CELERY_CONFIG"


@pytest.mark.parametrize(("options", "done"), [(None, ["alone"]), ("own.CELERY", ["alone"]), (KITS, ["whole"])])
def test_airflow_is_changed_only_where_it_runs_with_the_kit_s_settings(monkeypatch, options, done):
    told = []
    monkeypatch.setitem(sys.modules, "a_runner", types.ModuleType("a_runner"))
    monkeypatch.setattr(
        listener, "CHANGES", {"a_runner": (lambda: told.append("whole"),), "another": (lambda: told.append("no"),)}
    )
    monkeypatch.setattr(listener, "ALONE", {"a_runner": (lambda: told.append("alone"),)})
    monkeypatch.setenv(OPTIONS, options) if options else monkeypatch.delenv(OPTIONS, raising=False)
    listener.on_starting(component=None)
    assert told == done and stack.is_whole() == (options == KITS)


@pytest.mark.parametrize("environment", [{}, {"KIT_JOURNAL_CONN": "postgresql://a@b/c", "KIT_JOURNAL": "off"}])
def test_without_the_setting_a_scheduler_is_left_alone(monkeypatch, environment):
    for name in ("KIT_JOURNAL_CONN", "KIT_JOURNAL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(sys.modules, "airflow_celery_kit.scheduler.alone", None)
    listener.keep_a_journal_alone()


def test_a_message_without_the_kit_s_header_says_in_its_body_whose_it_is(monkeypatch, tmp_path):
    said = []
    voice = types.SimpleNamespace(
        tell=lambda kind, subject, facts: said.append((subject.task_id, subject.message, facts))
    )
    monkeypatch.setattr(record, "teller", lambda source: voice)
    body = (
        ['{"ti": {"id": "1", "dag_id": "d", "run_id": "r", "task_id": "load", "map_index": -1, "try_number": 1}}'],
        {},
        {},
    )
    record.published(headers={"id": "m"}, routing_key="default", body=body)
    record.published(headers={"id": "m"}, body=([], {}, {}))
    record.published(headers={"id": "m", record.SUBJECT: None}, body=body)
    record.published(headers=None, body=None)
    assert said == [("load", "m", {"queue": "default"})]


def test_a_process_names_its_folder_once_and_closes_it_to_others(monkeypatch, tmp_path):
    for name in (teller.FOLDER, "KIT_INSTANCE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    teller.stand_alone(str(tmp_path), "workers", "a/b")
    assert teller.environ[teller.FOLDER] == str(tmp_path / "kit-spool" / "workers")
    assert teller.environ["KIT_INSTANCE"] == "a_b" and (tmp_path / "kit-spool").stat().st_mode & 0o777 == 0o700
    teller.stand_alone(str(tmp_path / "other"), "scheduler", "c")
    assert teller.environ["KIT_INSTANCE"] == "a_b" and not (tmp_path / "other").exists()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2", "postgresql+asyncpg"])
def test_an_address_is_libpq_s_or_sqlalchemy_s(scheme):
    assert addresses.libpq(f"{scheme}://a:b@c/d?sslmode=require") == "postgresql://a:b@c/d?sslmode=require"
    assert addresses.sqlalchemy(f"{scheme}://a@c/d") == "postgresql+psycopg2://a@c/d"


def test_what_is_no_address_is_not_repeated():
    with pytest.raises(ValueError, match="begins with postgresql://") as refused:
        addresses.libpq("sqlite:///hush")
    assert "hush" not in str(refused.value) and not addresses.is_postgres("mysql://a")
