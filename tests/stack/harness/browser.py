"""Runs in: stack tests and `make pages`; Debian's Chromium, and a login to Airflow's UI."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import expect, sync_playwright

from airflow_celery_kit.settings import Settings

# As root Chromium runs without its sandbox only, and it is to ask nobody outside.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAMES = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 30_000


def chromium() -> str | None:
    """Return where Chromium is."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def started(executable: str) -> Iterator[Any]:
    """Give a browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


def logged_in(browser: Any, settings: Settings) -> Any:
    """Return what a browser keeps of the administrator's login, for other windows of it."""
    context = browser.new_context(base_url=settings.url("AIRFLOW_PORT"))
    opened = context.new_page()
    opened.goto("/auth/login/")
    opened.locator("input[name=username]").fill(settings["AIRFLOW_ADMIN_USER"])
    opened.locator("input[name=password]").fill(settings["AIRFLOW_ADMIN_PASSWORD"])
    opened.locator("input[type=submit], button[type=submit]").first.click()
    expect(opened.get_by_role("link", name="Dags").first).to_be_visible(timeout=SECONDS)
    kept = context.storage_state()
    context.close()
    return kept
