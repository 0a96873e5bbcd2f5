"""Runs in: a process of its own for `test_threads.py`; calls like those of tasks through Cadwyn, and how often they go to a thread.

`python -m tests.contract.counted_threads stock|kit`, the database's address in `DATABASE`; prints JSON.
"""

import asyncio
import json
import os
import sys
from datetime import date

import httpx
from airflow import settings
from airflow.api_fastapi.common.dagbag import DagBagDep
from airflow.api_fastapi.common.db.common import SessionDep
from anyio import to_thread
from cadwyn import Cadwyn, HeadVersion, Version, VersionBundle, VersionedAPIRouter
from fastapi import HTTPException
from sqlalchemy import create_engine, text
from sqlalchemy.orm import sessionmaker

from airflow_celery_kit.api.lazy import AtStart

VERSION = date(2026, 1, 1)
# More than there are threads for requests, which all wait for the one connection.
TOGETHER = 60
router = VersionedAPIRouter()


@router.put("/note/{word}")
def note(word: str, session: SessionDep, bag: DagBagDep) -> None:
    """Write a word; some words go wrong after that."""
    session.execute(text("INSERT INTO noted VALUES (:word)"), {"word": word})
    if word == "left":
        session.execute(text("SELECT pg_sleep(1)"))
    if word == "refused":
        raise HTTPException(409, "refused")
    if word == "broken":
        raise RuntimeError("broken")


def build() -> Cadwyn:
    """Return an application with versions, as the tasks' side of Airflow is one, that starts as the api-server does."""
    bundle = VersionBundle(HeadVersion(), Version(VERSION))
    app = Cadwyn(versions=bundle, api_version_parameter_name="version", api_version_default_value=VERSION.isoformat())
    app.generate_and_include_versioned_routers(router)
    app.state.dag_bag = object()
    return app


def counting(counted: list[str]) -> None:
    """Note what is handed to a thread from now on."""
    stock = to_thread.run_sync

    async def run_sync(function, *arguments, **options):
        counted.append(str(getattr(function, "__qualname__", function)))
        return await stock(function, *arguments, **options)

    to_thread.run_sync = run_sync


async def start(app: Cadwyn) -> None:
    """Let the application start, as a server would."""
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive():
        return next(messages)

    async def send(message):
        assert not message["type"].endswith("failed"), message

    await AtStart(app)({"type": "lifespan", "app": app, "asgi": {"version": "3.0"}}, receive, send)


async def main(side: str) -> dict:
    """Ask once, wrongly, and many times at once."""
    engine = create_engine(os.environ["DATABASE"], pool_size=1, max_overflow=0, pool_timeout=20)
    settings.NonScopedSession = sessionmaker(engine)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS noted; CREATE TABLE noted (word text)"))
    app, counted = build(), []
    if side == "kit":
        await start(app)
    counting(counted)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        codes = {word: (await client.put(f"/note/{word}")).status_code for word in ("one",)}
        threads = len(counted)
        codes |= {word: (await client.put(f"/note/{word}")).status_code for word in ("refused", "broken")}
        left = asyncio.create_task(client.put("/note/left"))
        await asyncio.sleep(0.4)
        left.cancel()
        await asyncio.wait([left])
        many = await asyncio.gather(*(client.put("/note/many") for _ in range(TOGETHER)))
    with engine.begin() as connection:
        noted = [row[0] for row in connection.execute(text("SELECT word FROM noted ORDER BY word DESC"))]
    return {
        "codes": codes,
        "threads": threads,
        "first": counted[:threads],
        "many": [one.status_code for one in many],
        "noted": noted,
        "held": engine.pool.checkedout(),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1]))))
