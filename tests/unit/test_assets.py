"""Airflow's way of handing out its UI: Starlette's files behind its compression, with the kit's layer between them, where Airflow puts it."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from airflow_celery_kit.api import assets
from airflow_celery_kit.api.assets import Assets

TEXT = "const kit = 1;\n" * 5000


@pytest.fixture
def served(tmp_path):
    """Asks for files; returns the answers, and the paths that reached Airflow's own way."""
    folder, reached, layer = tmp_path / "assets", [], Assets()
    folder.mkdir()
    (folder / "index-1.js").write_text(TEXT)
    (folder / "small.txt").write_text("x")
    files = Starlette(routes=[Mount("/static/assets", StaticFiles(directory=folder))])

    async def counted(scope, receive, send):
        reached.append(scope["path"])
        await files(scope, receive, send)

    async def between(scope, receive, send):
        await layer.handle(counted, scope, receive, send)

    entry = GZipMiddleware(between, minimum_size=1024, compresslevel=5)

    async def ask(name, headers):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(entry), base_url="http://kit") as client:
            return await client.get(f"/static/assets/{name}", headers=headers)

    return lambda name, **headers: asyncio.run(ask(name, {"accept-encoding": "gzip"} | headers)), reached


def test_a_file_is_compressed_once_and_is_the_same_for_everybody(served):
    ask, reached = served
    first, second = ask("index-1.js"), ask("index-1.js")
    assert first.text == second.text == TEXT and len(reached) == 1
    assert first.headers == second.headers and second.headers["content-encoding"] == "gzip"
    assert int(second.headers["content-length"]) < len(TEXT) and second.headers["vary"] == "Accept-Encoding"


def test_who_has_it_is_told_that_it_has_not_changed(served):
    ask, reached = served
    tag = ask("index-1.js").headers["etag"]
    assert ask("index-1.js", **{"if-none-match": tag}).status_code == 304 and len(reached) == 2


OTHERS = [
    ("small.txt", {}),
    ("gone.js", {}),
    ("index-1.js", {"accept-encoding": "identity"}),
    ("index-1.js", {"range": "bytes=0-9"}),
]


@pytest.mark.parametrize(("name", "headers"), OTHERS)
def test_anything_else_takes_airflow_s_own_way(served, name, headers):
    ask, reached = served
    answers = [ask(name, **headers) for _ in range(2)]
    assert answers[0].status_code == answers[1].status_code and len(reached) == 2


def test_no_more_is_kept_than_there_is_room_for(served, monkeypatch):
    monkeypatch.setattr(assets, "MOST_BYTES", 10)
    ask, reached = served
    assert [ask("index-1.js").text == TEXT for _ in range(2)] == [True, True] and len(reached) == 2
