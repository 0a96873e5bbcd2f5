"""Runs in: stack tests; the kit's wheel in an Airflow of somebody's own, with one setting: journal, REST API and page work there.

Nothing of this checkout is on that Airflow's path, none of the kit's runtimes runs, and Celery's settings are the provider's.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from playwright.sync_api import expect

from tests.contract.servers import fresh_settings, from_wheels
from tests.contract.servers import wait_for as wait_until
from tests.stack.harness.browser import SECONDS, chromium, started
from tests.stack.harness.wait import wait_for
from tests.stack.harness.workspace import files
from tests.stack.plain import venv
from tests.stack.plain.airflow import PARTS, Airflow, prepared

SETTING = "KIT_JOURNAL_CONN"
WHERE = "import airflow_celery_kit as kit; print(kit.__file__)"
TABLES = "SELECT to_regclass('journal.event') IS NOT NULL AND to_regclass('journal.migration') IS NOT NULL"
ATTEMPTS = """
SELECT id::text, state FROM task_instance WHERE dag_id = %s AND run_id = %s
UNION ALL SELECT task_instance_id::text, 'replaced' FROM task_instance_history WHERE dag_id = %s AND run_id = %s
"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    """An Airflow with the wheel; its scheduler has not been told of a journal yet, all else has."""
    root = tmp_path_factory.mktemp("alone")
    python = venv.make(root / "venv")
    venv.install(python, venv.build_wheel(root / "wheel"))
    servers = root / "servers"
    servers.mkdir()
    with from_wheels(fresh_settings(servers)) as started:
        wait_until("PostgreSQL and Valkey", started.answers)
        with prepared(root / "airflow", python, started) as airflow:
            setting = {SETTING: airflow.address("records")}
            airflow.start("scheduler")
            airflow.start("dag-processor", "api-server", "worker", **setting)
            wait_for("the api-server", airflow.answers, 90, airflow.last_words)
            yield airflow


@pytest.fixture(scope="module")
def before(plain: Airflow) -> dict[str, Any]:
    """What there was while the scheduler had no setting."""
    run = begin(plain, "quiet")
    return {
        "ended": plain.wait_run("quiet", run),
        "said": plain.said("scheduler"),
        "schemas": plain.sql("plain", "SELECT to_regnamespace('kit')"),
        "answers": {path: plain.http.get(f"/kit/v1{path}") for path in ("/tasks", "/overview", "/queues", "/metrics")},
        "refused": plain.http.post(f"/kit/v1/workflows/quiet/{run}/retry", json={}),
        "paused": plain.http.post(f"/kit/v1/workflows/held/{begin(plain, 'held')}/pause"),
    }


@pytest.fixture(scope="module")
def kept(plain: Airflow, before: dict[str, Any]) -> Airflow:
    """The same Airflow, its scheduler started again with the one setting."""
    (plain.home / "gate").touch()
    plain.stop("scheduler")
    plain.start("scheduler", **{SETTING: plain.address("records")})
    made = lambda: plain.sql("records", TABLES)[0][0] and triggers(plain)  # noqa: E731
    wait_for("the journal's tables", made, 60, plain.last_words)
    return plain


def triggers(plain: Airflow) -> int:
    """How many triggers of the kit the metadata database has."""
    return int(plain.sql("plain", "SELECT count(*) FROM pg_trigger WHERE starts_with(tgname, 'kit_')")[0][0])


def begin(plain: Airflow, dag: str) -> str:
    """Start a run as Airflow's own API does."""
    asked = plain.http.post(f"/api/v2/dags/{dag}/dagRuns", json={"logical_date": None})
    return str(asked.raise_for_status().json()["dag_run_id"])


def ask(plain: Airflow, path: str, **wanted: Any) -> dict[str, Any]:
    """Ask the kit's API."""
    found: dict[str, Any] = plain.http.get(f"/kit/v1{path}", params=wanted).raise_for_status().json()
    return found


def do(plain: Airflow, path: str, body: Any = None) -> httpx.Response:
    """Have the kit's API do something."""
    return plain.http.post(f"/kit/v1{path}", json=body)


def kinds(plain: Airflow, id: str) -> list[str]:
    """What happened to an attempt, in order."""
    return [one["kind"] for one in ask(plain, f"/tasks/{id}/events")["events"]]


def test_the_wheel_s_files_are_what_runs(plain: Airflow) -> None:
    assert str(plain.home.parent / "venv") in plain.run("-c", WHERE)
    for part in PARTS:
        inside = psutil.Process(plain.running[part].pid).environ()
        assert not [name for name in inside if name.startswith("KIT_") and name != SETTING]
    assert "the journal is kept" in plain.run("-m", "celery", "kit", **{SETTING: plain.address("records")})


def test_the_wheel_has_every_file_of_the_package(plain: Airflow) -> None:
    installed = Path(plain.run("-c", WHERE).splitlines()[0]).parent
    wanted = [Path(name).relative_to("src/airflow_celery_kit") for name in files() if name.startswith("src/")]
    assert len(wanted) > 150 and [name for name in wanted if not (installed / name).is_file()] == []


def test_without_the_setting_airflow_is_as_it_was(before: dict[str, Any]) -> None:
    assert before["ended"] == "success" and before["schemas"] == [(None,)]
    said = before["said"].lower()
    assert (
        "airflow_celery_kit" not in said and "traceback" not in said and "journal" not in said and "woken" not in said
    )


def test_until_the_tables_are_there_each_route_says_why_it_cannot(before: dict[str, Any]) -> None:
    answers = before["answers"]
    assert {path: answer.status_code for path, answer in answers.items()} == {
        "/tasks": 503, "/overview": 503, "/queues": 200, "/metrics": 200,
    }  # fmt: skip
    assert "a scheduler with KIT_JOURNAL_CONN makes them" in answers["/tasks"].json()["detail"]
    assert "no controller" in answers["/queues"].json()["reason"]
    assert before["refused"].status_code == 409 and before["paused"].status_code == 503


def test_a_run_s_tasks_are_on_record_as_airflow_has_them(kept: Airflow) -> None:
    run = do(kept, "/workflows", {"dag_id": "alone", "conf": {"day": 1}}).raise_for_status().json()["run_id"]
    assert kept.wait_run("alone", run) == "failed"
    believed = dict(kept.sql("plain", ATTEMPTS, *("alone", run) * 2))
    look = lambda: {one["task_id"] + str(one["attempt"]): one for one in ask(kept, "/tasks", run_id=run)["tasks"]}  # noqa: E731
    same = lambda: {one["id"]: one["state"] for one in look().values()} == believed  # noqa: E731
    wait_for("the journal to say what Airflow says", same, 20, lambda: (look(), believed))
    assert {name: one["status"] for name, one in look().items()} == {
        "tells1": "SUCCESS", "stumbles1": "RETRY", "stumbles2": "SUCCESS", "breaks1": "FAILURE", "after1": "CANCELLED",
    }  # fmt: skip
    whole(kept, look()["tells1"]["id"])
    wait_for("the error", lambda: ask(kept, f"/tasks/{look()['breaks1']['id']}")["error"], 20)
    broken = ask(kept, f"/tasks/{look()['breaks1']['id']}")
    assert "the bridge is down" in broken["error"] and "in breaks" in broken["trace"]
    assert sum(one["impossible"] for one in look().values()) == 0
    wait_for("the run's end", lambda: ask(kept, f"/workflows/alone/{run}")["state"] != "running", 20)
    workflow = ask(kept, f"/workflows/alone/{run}")
    assert (workflow["state"], workflow["progress"], workflow["conf"]) == ("failed", "4/4", {"day": 1})
    retried = do(kept, f"/workflows/alone/{run}/retry", {"dry_run": True}).json()
    assert retried["names"] == ["after", "breaks"]


def whole(kept: Airflow, id: str) -> None:
    """A task's story has every step that it has in the kit's own stacks, each once."""
    wait_for("the worker's last word", lambda: "succeeded" in kinds(kept, id), 20, lambda: kinds(kept, id))
    said = Counter(kinds(kept, id))
    once = (
        "asked",
        "scheduled",
        "queued",
        "published",
        "received",
        "started",
        "running",
        "input",
        "success",
        "succeeded",
    )
    assert {name: said[name] for name in once} == dict.fromkeys(once, 1)
    assert said["progress"] and said["business_result"] == 1
    known = ask(kept, f"/tasks/{id}")
    assert known["result"] == {"rows": 17} and known["progress"]["done"] == 2 and known["message"] and known["worker"]
    assert [hop["hop"] for hop in known["hops"]][-3:] == ["waiting in the broker", "starting", "running"]


def test_a_run_is_paused_resumed_and_cancelled(kept: Airflow) -> None:
    (kept.home / "gate").unlink()
    run = begin(kept, "held")
    one = lambda name: next((t for t in ask(kept, "/tasks", run_id=run, task_id=name)["tasks"]), {})  # noqa: E731
    wait_for("the first task", lambda: one("waits").get("status") == "PROCESSING", 30, kept.last_words)
    assert do(kept, f"/workflows/held/{run}/pause").json()["paused"]
    (kept.home / "gate").touch()
    wait_for("its end", lambda: one("waits")["status"] == "SUCCESS", 30)
    assert ask(kept, f"/workflows/held/{run}")["paused"] and one("follows")["state"] in ("asked", "cleared")
    assert do(kept, f"/workflows/held/{run}/resume").json() == {"dag_id": "held", "run_id": run, "paused": False}
    assert kept.wait_run("held", run) == "success"
    cancelled(kept)


def cancelled(kept: Airflow) -> None:
    """A run that is cancelled ends a task that runs, and one that waits never begins."""
    (kept.home / "gate").unlink()
    run = begin(kept, "held")
    states = lambda: {one["task_id"]: one["status"] for one in ask(kept, "/tasks", run_id=run)["tasks"]}  # noqa: E731
    wait_for("the first task", lambda: states().get("waits") == "PROCESSING", 30)
    assert do(kept, f"/workflows/held/{run}/cancel").json()["cancelled"] == 2
    wait_for("both cancelled", lambda: set(states().values()) == {"CANCELLED"}, 30, states)
    assert do(kept, f"/workflows/held/{run}/cancel").status_code == 409


def test_events_have_partitions_and_wait_in_a_closed_folder(kept: Airflow) -> None:
    assert kept.sql("records", "SELECT count(*) FROM journal.event_other") == [(0,)]
    assert (kept.home / "kit-spool").stat().st_mode & 0o777 == 0o700
    assert not list((kept.home / "kit-spool").rglob("refused*"))


def test_the_scheduler_said_nothing_but_that_it_made_the_tables(kept: Airflow) -> None:
    said = [line for line in kept.said("scheduler").splitlines() if "airflow_celery_kit" in line or "Traceback" in line]
    assert [line for line in said if "warning" in line.lower() or "error" in line.lower() or "Traceback" in line] == []
    password = kept.address("records").partition("@")[0]
    assert not [part for part in PARTS if password in kept.said(part)]


def test_the_page_s_files_are_there(kept: Airflow) -> None:
    listed = kept.http.get("/api/v2/plugins").json()["plugins"]
    (app,) = [app for plugin in listed for app in plugin["react_apps"] if app["url_route"] == "kit"]
    assert "globalThis.AirflowPlugin" in kept.http.get(f"/{app['bundle_url']}").text
    names = ("asking", "layers", "overview", "parts", "task", "tasks", "workflow", "workflows")
    assert {name: kept.http.get(f"/kit/v1/console/{name}.js").status_code for name in names} == dict.fromkeys(
        names, 200
    )


def test_the_page_opens_in_a_browser(kept: Airflow) -> None:
    if not (found := chromium()):
        reason = "no Chromium on this machine"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with started(found) as browser:
        page = browser.new_context(base_url=kept.url).new_page()
        page.goto("/")
        page.goto("/plugin/kit?view=tasks")
        expect(page.get_by_test_id("kit-console").get_by_text("stumbles").first).to_be_visible(timeout=SECONDS)


def test_on_sqlite_airflow_runs_and_says_in_one_line_that_no_journal_is_kept(plain: Airflow, tmp_path: Path) -> None:
    other = {
        "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    }  # fmt: skip
    plain.run("-m", "airflow", "db", "migrate", **other)
    scheduler = ("-m", "airflow", "scheduler", "--skip-serve-logs", "--num-runs", "3")
    quiet, told = plain.run(*scheduler, **other), plain.run(*scheduler, **other, **{SETTING: plain.address("records")})
    assert "Traceback" not in quiet + told and "airflow_celery_kit" not in quiet
    assert [
        line for line in told.splitlines() if "airflow_celery_kit" in line and "no journal is kept" not in line
    ] == []
    assert told.count("no journal is kept: Airflow's metadata database is not PostgreSQL") == 1


def test_what_stands_in_the_way_of_airflow_s_migrations_can_be_taken_out(kept: Airflow) -> None:
    kept.stop("scheduler")
    setting = {SETTING: kept.address("records")}
    kept.run("-m", "airflow_celery_kit.scheduler.alone", "--remove")
    assert triggers(kept) == 0
    kept.run("-m", "airflow_celery_kit.scheduler.alone", **setting)
    assert triggers(kept) == 8
