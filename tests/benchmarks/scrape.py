"""Runs in: your shell, as `make scrape`; how long a scrape of /kit/v1/metrics takes with 100,000 tasks on record, and what counting costs.

A real api-server on a PostgreSQL of its own; writes docs/reference/scrape.md. Nothing else may run meanwhile.
"""

import json
import statistics
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psutil
import psycopg2

from airflow_celery_kit.controller import counting
from airflow_celery_kit.core.journal.events import Source
from airflow_celery_kit.journal.sink import Sink
from tests.benchmarks.evidence import FOLDER
from tests.benchmarks.pages import p95
from tests.contract.journal.conftest import Life
from tests.contract.rest.conftest import SEEN, Server, serving
from tests.stack.faults.evidence import machine

PAGE = FOLDER / "scrape.md"
TASKS, DAGS, QUEUES, WORKERS, OPEN = 100_000, 200, 4, 12, 2000
SCRAPES, WRITTEN = 200, 1000
BAR_SECONDS = 0.05
# The journal's own bar is 3 ms of CPU for each task.
FILL = """
INSERT INTO journal.task (id, dag_id, run_id, task_id, map_index, attempt, queue, state, state_seq, created_at,
    due_at, queued_at, published_at, received_at, started_at, completed_at, changed_at, timed_out, cancelled, no_data, events)
SELECT md5(n::text)::uuid, 'dag_' || n %% %(dags)s, 'run_' || n / 50, 'task_' || n %% 50, -1, 1, 'queue_' || n %% %(queues)s,
    CASE WHEN n > %(tasks)s THEN 'queued' WHEN n %% 100 = 0 THEN 'failed' ELSE 'success' END, n,
    at, at, at + random() * interval '10 s', at + interval '10 s', at + interval '10 s' + random() * interval '60 s', at + interval '71 s',
    CASE WHEN n <= %(tasks)s THEN at + interval '71 s' + random() * interval '600 s' END, at, false, false, false, 10
FROM (SELECT n, now() - interval '1 hour' AS at FROM generate_series(1, %(tasks)s + %(open)s) AS n) AS made
"""
NOTE = """
INSERT INTO journal.uncounted (noted_at, what, task)
SELECT now() - interval '1 minute', 'end', id FROM journal.task WHERE completed_at IS NOT NULL
"""

# The seconds of each scrape, the api-server's CPU seconds of one, how many samples and bytes it has.
Scrapes = tuple[list[float], float, int, int]
# As many metrics of tasks' own as are kept: names, series, and among these histograms (journal.add_user_metrics).
OWN_NAMES = """
INSERT INTO journal.user_metric
SELECT 'own_' || n, CASE WHEN n < 20 THEN 'histogram' ELSE 'counter' END, now() FROM generate_series(0, 99) AS n
"""
OWN = """
INSERT INTO journal.user_series (name, key, labels, value, buckets, at, used_at)
SELECT name, n::text, jsonb_build_object('dag_id', 'dag_' || n %% 200, 'customer', n::text), n,
    CASE WHEN kind = 'histogram' THEN array_fill(n::bigint, '{13}') END, 0, now()
FROM generate_series(0, 1199) AS n JOIN journal.user_metric
    ON name = 'own_' || CASE WHEN n < 200 THEN n %% 20 ELSE 20 + n %% 80 END
"""


def look() -> str:
    """Return what a controller sees of a stack of that size."""
    steps = [{"step": step, "waiting": 5, "oldest_seconds": 3.0} for step in range(10)]
    known = {"scheduled": 9, "scheduled_oldest_seconds": 1.0, "waiting": 50, "oldest_seconds": 3.0, "slots": 4}
    queues = [{"queue": f"queue_{number}", **known, "steps": steps} for number in range(QUEUES)]
    worker = {
        "held": 4,
        "slots": 4,
        "queues": ["queue_0"],
        "drained": False,
        "busy": 0.5,
        "since": 1.0,
        "memory_bytes": 10**9,
    }
    return json.dumps(
        {"queues": queues, "delivered": 4, "workers": [worker | {"name": f"w{n}"} for n in range(WORKERS)]}
    )


def fill(server: Server) -> float:
    """Put everything on record and count it up; return the seconds of PostgreSQL's CPU for each ended attempt."""
    server.query(SEEN, 0, look())
    with (
        closing(psycopg2.connect(server.stack.address("postgres", "kit"))) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("ALTER ROLE kit SET statement_timeout = '10s'")
        cursor.execute(FILL, {"tasks": TASKS, "dags": DAGS, "queues": QUEUES, "open": OPEN})
        cursor.execute(NOTE)
    server.query("VACUUM ANALYZE journal.task", database="kit")
    with closing(psycopg2.connect(server.stack.address("kit", "kit"))) as connection:
        backend = psutil.Process(connection.info.backend_pid)
        before = seconds_of(backend)
        while counting.count_up(connection, counting.DAGS_DEFAULT):
            pass
        return (seconds_of(backend) - before) / TASKS


def scrapes(server: Server) -> Scrapes:
    """Scrape again and again."""
    text = server.kit("/metrics").raise_for_status().text
    process, seen = psutil.Process(server.pid), []
    before = sum(map(seconds_of, [process, *process.children(recursive=True)]))
    for _ in range(SCRAPES):
        begun = time.perf_counter()
        server.kit("/metrics").raise_for_status()
        seen.append(time.perf_counter() - begun)
    cpu = sum(map(seconds_of, [process, *process.children(recursive=True)])) - before
    return seen, cpu / SCRAPES, len([line for line in text.splitlines() if not line.startswith("#")]), len(text)


def seconds_of(process: psutil.Process) -> float:
    """Return the CPU that a process has used."""
    times = process.cpu_times()
    return float(times.user + times.system)


def cost_of_notes(server: Server) -> tuple[float, float]:
    """Return PostgreSQL's CPU seconds for each attempt that is written, with and without the trigger that notes what is to be counted."""
    found = {}
    for verb in ("ENABLE", "DISABLE", "ENABLE", "DISABLE"):
        server.query(f"ALTER TABLE journal.event {verb} TRIGGER note_events", database="kit")
        sink = Sink(server.stack.address("journal_scheduler", "kit"))
        sink.write([json.dumps(one) for one in whole(Life())], list)
        backend = psutil.Process(sink.connection.info.backend_pid)
        lives = [whole(Life(at=time.time())) for _ in range(WRITTEN)]
        before = seconds_of(backend)
        for number in range(0, WRITTEN, 10):
            sink.write([json.dumps(event) for life in lives[number : number + 10] for event in life], list)
        found[verb] = min(found.get(verb, 1.0), (seconds_of(backend) - before) / WRITTEN)
        sink.drop()
    server.query("ALTER TABLE journal.event ENABLE TRIGGER note_events", database="kit")
    return found["ENABLE"], found["DISABLE"]


def whole(life: Life) -> list[dict]:
    """Return the events of one attempt."""
    said = [life.says(Source.SCHEDULER, "published"), life.says(Source.WORKER, "received")]
    return [*life.airflow("asked", "scheduled", "queued"), *said, *life.airflow("running", "success")]


def scrapes_with_own(server: Server) -> Scrapes:
    """Return the same with as many metrics of tasks' own as the kit keeps."""
    for statement in (OWN_NAMES, OWN):
        server.query(statement, database="kit")
    return scrapes(server)


def page(seen: Scrapes, own: Scrapes, counted: float, notes: tuple[float, float]) -> str:
    """Return the page."""
    times, cpu, samples, size = seen
    rows = {
        f"scrape, median of {SCRAPES}, ms": statistics.median(times) * 1000,
        "scrape, 95 of 100 within, ms (bar: 50)": p95(times) * 1000,
        "scrape, CPU of the api-server, ms": cpu * 1000,
        "samples of a scrape": samples,
        "size of a scrape, kB": size / 1000,
        "with 1,000 series and 200 histograms of tasks' own, median, ms": statistics.median(own[0]) * 1000,
        "with them, 95 of 100 within, ms (bar: 50)": p95(own[0]) * 1000,
        "with them, samples of a scrape": own[2],
        "counting up, PostgreSQL's CPU for each ended attempt, ms": counted * 1000,
        "an attempt's events, PostgreSQL's CPU, ms": notes[0] * 1000,
        "the same without noting what is to be counted, ms": notes[1] * 1000,
    }
    lines = [
        "# A scrape with 100,000 tasks on record",
        "",
        f"Written by `make scrape`: {TASKS:,} ended attempts of {DAGS} Dags in {QUEUES} queues and {OPEN:,} open ones, {WORKERS} workers; a real",
        f"api-server with the kit's settings, asked over HTTP with a login. {counting.DAGS_DEFAULT} Dags have figures of their own,",
        "the others are `other`. No worker is asked for anything. The events of an attempt are seven, written ten attempts at a time.",
        "",
        f"Machine: {machine()}. Date: {datetime.now(UTC):%Y-%m-%d}.",
        "",
        "| What | measured |",
        "|---|---|",
        *(f"| {name} | {value:,.0f} |" if value > 100 else f"| {name} | {value:.2f} |" for name, value in rows.items()),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Fill, measure, write the page; return 1 when a scrape misses the bar."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "made") as server:
        counted = fill(server)
        seen = scrapes(server)
        own = scrapes_with_own(server)
        text = page(seen, own, counted, cost_of_notes(server))
    PAGE.write_text(text)
    print(text)
    return int(max(p95(seen[0]), p95(own[0])) > BAR_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
