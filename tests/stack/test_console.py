"""Runs in: stack tests; the page in Airflow's UI, in a real browser, as a person uses it (F7, F10).

`KIT_SCREENSHOTS=folder` keeps pictures of what was seen there.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.stack.harness.browser import SECONDS, chromium, logged_in, started
from tests.stack.harness.stack import Stack
from tests.stack.harness.wait import wait_for

TABLE = "Tasks"
SO_FAR = re.compile(r"\d+(\.\d+)? (ms|s|min) so far")

pytestmark = pytest.mark.parametrize("stack", ["embedded"], indirect=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser; without it the tests are left out on a laptop and fail in CI."""
    if not (found := chromium()):
        reason = "no Chromium on this machine: apt-get install chromium"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with started(found) as opened:
        yield opened


@pytest.fixture(scope="module")
def login(browser: Any, stack: Stack) -> Any:
    """What a browser keeps of a login; one for all tests, because Airflow limits how often somebody may try."""
    stack.wait_ready()
    return logged_in(browser, stack.settings)


@pytest.fixture
def page(browser: Any, stack: Stack, login: Any) -> Iterator[Page]:
    """A page of the stack's UI, logged in."""
    stack.wait_ready()
    where = stack.settings.url("AIRFLOW_PORT")
    context = browser.new_context(base_url=where, storage_state=login, viewport={"width": 1500, "height": 1000})
    opened = context.new_page()
    opened.set_default_timeout(SECONDS)
    expect.set_options(timeout=SECONDS)
    opened.goto("/")
    yield opened
    context.close()


def look_at(page: Page, view: str, **values: str) -> None:
    """Open a view of the page."""
    query = "&".join(f"{name}={value}" for name, value in {"view": view, **values}.items())
    page.goto(f"/plugin/kit?{query}")
    expect(page.get_by_test_id("kit-console")).to_be_visible()


def keep(page: Page, name: str) -> None:
    """Keep a picture where one is wanted."""
    if folder := os.environ.get("KIT_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def test_a_run_is_started_watched_paused_resumed_and_cancelled(page: Page, stack: Stack) -> None:
    stack.wait_dag("hundred_receipts")
    stack.api.patch("/dags/hundred_receipts", {"is_paused": False})
    look_at(page, "workflows", dag_id="hundred_receipts")
    page.get_by_role("button", name="Start a run").click()
    expect(page.get_by_role("heading", name="hundred_receipts")).to_be_visible()
    run = str(page.url.partition("run_id=")[2].partition("&")[0]).replace("%3A", ":").replace("%2B", "+")
    expect(page.get_by_text("asked by admin")).to_be_visible()
    expect(page.get_by_role("group", name="Graph").get_by_role("button", name="work, 100 mapped")).to_be_visible()
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    expect(page.get_by_text("paused", exact=True)).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Yes, cancel").click()
    expect(page.get_by_text("100/100 done")).to_be_visible()
    assert stack.wait_run("hundred_receipts", run) == "failed"
    keep(page, "console-workflow")


def test_a_window_that_still_waits_for_airflow_s_ui_has_the_title_and_the_numbers(page: Page) -> None:
    held: list[Any] = []

    def hold(request: Any) -> None:
        held.append(request)

    page.route("**/static/assets/index-*.js", hold)
    page.goto("/plugin/kit", wait_until="commit")
    expect(page.get_by_role("heading", name="Tasks and workflows")).to_be_visible()
    expect(page.get_by_text("PROCESSING", exact=True)).to_be_visible()
    assert held, "the browser never asked for Airflow's UI"
    expect(page.get_by_test_id("kit-console")).to_have_count(0)
    keep(page, "console-first")
    for one in held:
        one.continue_()
    expect(page.get_by_test_id("kit-console")).to_be_visible()
    expect(page.get_by_text("Airflow's interface is on its way")).to_have_count(0)
    expect(page.get_by_role("heading", name="Tasks and workflows")).to_have_count(1)


def test_a_running_task_is_cancelled_and_its_log_is_a_click_away(page: Page, stack: Stack) -> None:
    run = stack.start_dag("slow", {"seconds": 300})
    stack.wait_task("slow", run, "count", {"running"})
    look_at(page, "tasks", dag_id="slow", status="PROCESSING")
    expect(page.get_by_role("table", name=TABLE).get_by_text(SO_FAR).first).to_be_visible()
    page.get_by_role("table", name=TABLE).get_by_role("button", name="count").first.click()
    expect(page.get_by_role("heading", name="count")).to_be_visible()
    expect(page.get_by_text(re.compile(f"^running {SO_FAR.pattern}"))).to_be_visible()
    expect(page.get_by_role("img", name=re.compile(f"running {SO_FAR.pattern}"))).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Yes, cancel").click()
    expect(page.get_by_text("CANCELLED").first).to_be_visible()
    keep(page, "console-task")
    assert stack.wait_run("slow", run) == "failed"
    expect(page.get_by_text(SO_FAR)).to_have_count(0)
    page.get_by_role("link", name="Log").click()
    expect(page.get_by_text("counted to 0")).to_be_visible()


def test_a_failed_run_is_retried_from_where_it_failed(page: Page, stack: Stack) -> None:
    (stack.output / "told").mkdir(exist_ok=True)
    (stack.output / "told" / "right").unlink(missing_ok=True)
    run = stack.start_dag("told")
    assert stack.wait_run("told", run) == "failed"
    look_at(page, "workflow", dag_id="told", run_id=run.replace(":", "%3A").replace("+", "%2B"))
    expect(page.get_by_text("6/6 done")).to_be_visible()
    keep(page, "console-failed")
    (stack.output / "told" / "right").touch()
    page.get_by_role("button", name="Retry what failed").click()
    page.get_by_role("button", name="Yes, retry what failed").click()
    state = lambda: stack.api.get(f"/dags/told/dagRuns/{run}")["state"]  # noqa: E731
    wait_for("the run to succeed", lambda: state() == "success", 60, state)
    expect(page.get_by_test_id("kit-console").get_by_text("success", exact=True).first).to_be_visible()


def test_an_error_is_found_by_its_words_and_shows_where_it_happened(page: Page, stack: Stack) -> None:
    wait_for("an error on record", lambda: stack.api.kit("/tasks", error="the bridge is down")["tasks"], 60)
    look_at(page, "tasks")
    page.locator("input[name=error]").fill("bridge is DOWN")
    page.keyboard.press("Enter")
    page.get_by_role("table", name=TABLE).get_by_role("button", name="breaks").first.click()
    expect(page.get_by_text("RuntimeError: the bridge is down").first).to_be_visible()


def test_the_overview_counts_what_happens_and_leads_there(page: Page, stack: Stack) -> None:
    look_at(page, "overview")
    expect(page.get_by_role("table", name="Workers").get_by_role("row")).to_have_count(
        len(stack.status()["workers"]) + 1
    )
    expect(page.get_by_role("table", name="Queues").get_by_role("row", name="default")).to_be_visible()
    keep(page, "console-overview")
    page.get_by_role("button", name="SUCCESS").click()
    expect(page.get_by_role("table", name=TABLE).get_by_text("SUCCESS").first).to_be_visible()


def test_what_is_not_there_is_said_in_a_sentence(page: Page, stack: Stack) -> None:
    look_at(page, "task", id="00000000-0000-4000-8000-000000000000")
    expect(page.get_by_role("alert").first).to_contain_text("is on record")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_ui_s_colours_and_logs_no_error(page: Page, stack: Stack, scheme: str) -> None:
    said: list[str] = []
    page.on("pageerror", lambda problem: said.append(str(problem)))
    page.evaluate("scheme => localStorage.setItem('theme', scheme)", scheme)
    look_at(page, "overview")
    expect(page.locator("html")).to_have_class(re.compile(scheme))
    if scheme == "dark":
        keep(page, "console-dark")
    assert said == []


def test_everything_can_be_reached_by_keyboard(page: Page, stack: Stack) -> None:
    look_at(page, "tasks")
    button = page.get_by_role("button", name="Workflows", exact=True)
    button.press("Enter")
    expect(page).to_have_url(re.compile("view=workflows"))


def test_the_health_of_every_part_is_shown_with_why_and_is_reached_by_keyboard(page: Page, stack: Stack) -> None:
    look_at(page, "overview")
    tab = page.get_by_role("button", name="Health", exact=True)
    tab.press("Enter")
    table = page.get_by_role("table", name="Health")
    for check in ("metadata-database", "broker", "scheduler", "workers"):
        expect(table.get_by_role("cell", name=check, exact=True).first).to_be_visible()
    expect(page.get_by_role("status").get_by_text("ready: tasks can run")).to_be_visible()
    keep(page, "console-health")
