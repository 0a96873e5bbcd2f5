"""The document of the kit's page: painted before Airflow's UI is there, and every other answer as it was."""

import pytest

UI = '<html><body style="height: 100%"><div id="root" style="height: 100%"></div></body></html>'


@pytest.fixture
def client():
    """Return a client of an application that answers as Airflow's does: one document for every address of the UI, compressed."""
    from fastapi import FastAPI
    from fastapi.middleware.gzip import GZipMiddleware
    from fastapi.responses import HTMLResponse, StreamingResponse
    from fastapi.testclient import TestClient

    from airflow_celery_kit.api.first_paint import FirstPaint

    app = FastAPI()
    app.add_middleware(FirstPaint)
    app.add_middleware(GZipMiddleware, minimum_size=100)
    app.get("/pieces/plugin/kit")(lambda: StreamingResponse(iter(["<p>", UI])))
    app.get("/other/plugin/kit", response_class=HTMLResponse)(lambda: "<p>another document</p>")
    app.get("/{rest:path}", response_class=HTMLResponse)(lambda: UI)
    return TestClient(app)


def test_the_page_has_its_title_before_airflow_s_ui_is_there(client):
    answer = client.get("/plugin/kit?view=tasks")
    assert answer.status_code == 200 and "Tasks and workflows" in answer.text
    assert answer.text.count('id="root"') == 1


def test_its_length_is_told_right_without_compression(client):
    answer = client.get("/plugin/kit", headers={"Accept-Encoding": "identity"})
    assert int(answer.headers["content-length"]) == len(answer.content) > len(UI)


@pytest.mark.parametrize("path", ["/dags", "/plugin/kitten", "/plugin/kit/more"])
def test_other_pages_are_as_they_were(client, path):
    assert client.get(path).text == UI


def test_a_document_that_is_not_known_is_as_it_was(client):
    assert client.get("/other/plugin/kit").text == "<p>another document</p>"
    assert client.get("/pieces/plugin/kit").text == "<p>" + UI


def test_airflow_s_document_has_the_place_that_is_filled():
    from pathlib import Path

    import airflow

    from airflow_celery_kit.api.first_paint import EMPTY

    assert (Path(airflow.__file__).parent / "ui" / "dist" / "index.html").read_bytes().count(EMPTY) == 1
